"""API keys for tests, and what a server needs to have some."""

from pathlib import Path

from models.access.digests import digest_of
from models.access.scopes import ALL_SCOPES, Scope
from models.access.tokens import Token
from models.settings import Settings
from models.store.access.api_keys import ApiKeyRecord
from models.store.store import Store
from models.tables import DEFAULT_PROJECT


def create_key(
    store: Store, project_id: str = DEFAULT_PROJECT, scopes: frozenset[Scope] = ALL_SCOPES
) -> Token:
    """Create a key; the store has a secret file."""
    token = Token.new()
    record = ApiKeyRecord(
        id=token.id,
        project_id=project_id,
        name="test",
        scopes=scopes,
        digest=digest_of(token, store.database.vault),
        created_by="cli",
    )
    assert store.api_keys.create(record) is not None
    return token


def bearer(token: Token) -> dict[str, str]:
    """Return the header that sends a key."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def with_secret(settings: Settings, folder: Path) -> Settings:
    """Return the settings with a secret file, under which keys are digested."""
    path = folder / "secret"
    path.write_text("a secret of the server\n")
    return settings.model_copy(update={"secret_file": path})
