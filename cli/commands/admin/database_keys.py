"""Creation of API keys straight in the database: the first one, or one for who has lost theirs."""

from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.supervisor.run_folder import read_env
from models.access.digests import NoSecretFileError
from models.access.tokens import Token
from models.encryption.vault import VaultError
from models.errors import UnavailableError
from models.schemas.admin.keys import CreateKey
from models.settings import Settings, SettingsError, load_settings
from models.store.access.api_keys import ApiKeyRecord
from models.store.access.audit import AuditEntryRecord
from models.store.access.issue import issue_key, key_with_secret
from models.store.store import Store

CREATOR = "cli"


class CannotCreateError(Exception):
    """Raised if a key cannot be created; the message says why."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def create_key(fields: dict[str, Any]) -> dict[str, Any]:
    """Create a key with the fields of the admin API; return that API's answer."""
    try:
        wanted = CreateKey.model_validate(fields)
        settings = _connected(load_settings())
        assert settings.database_url is not None
        with closing(
            Store.open(settings.database_url, pool_size=1, secret_file=settings.secret_file)
        ) as store:
            token = Token.new()
            return key_with_secret(_create(store, token, wanted), token).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        raise CannotCreateError(f"{first['loc'][0]}: {first['msg']}", exit_code=2) from None
    except (SettingsError, VaultError, NoSecretFileError) as error:
        raise CannotCreateError(str(error), exit_code=2) from None
    except UnavailableError as error:
        raise CannotCreateError(f"DATABASE_URL: {error.message}") from None


def _create(store: Store, token: Token, wanted: CreateKey) -> ApiKeyRecord:
    key = issue_key(store.api_keys, token, wanted, created_by=CREATOR)
    if key is None:
        raise CannotCreateError(f"Project with id '{wanted.project_id}' not found.")
    entry = AuditEntryRecord(
        project_id=key.project_id, action="key.create", object=key.id, result="ok"
    )
    store.audit.add(entry)
    return key


def _connected(settings: Settings) -> Settings:
    """Return the settings with the addresses that a running `up` uses, unless they have others."""
    if settings.database_url is not None:
        return settings
    found = read_env(settings.data_dir)
    if not found:
        message = "DATABASE_URL is not set, and no server runs in ANTIPHON_DATA_DIR"
        raise SettingsError(message)
    url = Settings(database_url=found["DATABASE_URL"]).database_url
    secret_file = settings.secret_file or found.get("ANTIPHON_SECRET_FILE")
    return settings.model_copy(
        update={"database_url": url, "secret_file": Path(secret_file) if secret_file else None}
    )
