"""Bootstrap key: the first API key, in a file that its operator reads, or has written."""

import os
from pathlib import Path

from cli.embedded.secret import write_private
from models.access.digests import NoSecretFileError, matches
from models.access.scopes import ALL_SCOPES
from models.access.tokens import Token, parse_token
from models.schemas.admin.keys import CreateKey
from models.settings import SettingsError
from models.store.access.audit import AuditEntryRecord
from models.store.access.issue import issue_key
from models.store.store import Store
from models.tables import DEFAULT_PROJECT

CREATOR = "bootstrap"


def register_bootstrap_key(store: Store, path: Path) -> None:
    """Write a new key into an empty or absent file; register the key that it holds otherwise.

    A key that is known stays as it is, revoked too. Raises `SettingsError` for other content or
    without a secret file, and `OSError`.
    """
    if store.database.vault.key is None:
        raise SettingsError("API keys need ANTIPHON_SECRET_FILE")
    text = path.read_text().strip() if path.exists() else ""
    # The file comes first: a key that is in it alone is registered the next time.
    token = _parse(text) if text else _write_new(path)
    known = store.api_keys.get(token.id)
    if known is None:
        _register(store, token)
    elif not matches(token, known.digest, store.database.vault):
        raise SettingsError("it holds a key with the id of another one, but not its secret")


def _parse(text: str) -> Token:
    token = parse_token(text)
    if token is None:
        raise SettingsError("it must be empty, or hold one key, sk-antiphon-…")
    return token


def _write_new(path: Path) -> Token:
    token = Token.new()
    if path.exists():
        # It may be mounted, and cannot be replaced then.
        path.chmod(0o600)
        with path.open("w") as file:
            file.write(token.reveal() + "\n")
            file.flush()
            os.fsync(file.fileno())
    else:
        write_private(path, token.reveal() + "\n")
    return token


def _register(store: Store, token: Token) -> None:
    try:
        wanted = CreateKey(name=CREATOR, scopes=sorted(ALL_SCOPES))
        issue_key(store.api_keys, token, wanted, created_by=CREATOR)
    except NoSecretFileError as error:
        raise SettingsError(str(error)) from None
    store.audit.add(
        AuditEntryRecord(
            project_id=DEFAULT_PROJECT, action="key.create", object=token.id, result="ok"
        )
    )
