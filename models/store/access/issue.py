"""Issue of API keys, by the admin API and by the command line."""

from datetime import UTC, datetime, timedelta

from models.access.digests import digest_of
from models.access.tokens import Token
from models.schemas.admin.keys import CreateKey, KeyResource, KeyWithSecret
from models.store.access.api_keys import ApiKeyRecord, ApiKeys
from models.tables import DEFAULT_PROJECT


def issue_key(
    keys: ApiKeys, token: Token, wanted: CreateKey, *, created_by: str
) -> ApiKeyRecord | None:
    """Create a key of a token; None if there is no such project.

    Raises `NoSecretFileError` if there is no secret file.
    """
    return keys.create(
        ApiKeyRecord(
            id=token.id,
            project_id=wanted.project_id or DEFAULT_PROJECT,
            name=wanted.name,
            scopes=frozenset(wanted.scopes),
            digest=digest_of(token, keys.vault),
            created_by=created_by,
            expires_at=expiry(wanted.expires_in_days),
        )
    )


def expiry(days: float | None) -> datetime | None:
    """Return the time after some days; None if there is no number."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def key_resource(key: ApiKeyRecord) -> KeyResource:
    """Return a stored key as operators see it."""
    assert key.created_at is not None
    return KeyResource(
        id=key.id,
        project_id=key.project_id,
        name=key.name,
        scopes=sorted(key.scopes),
        created_by=key.created_by,
        created_at=int(key.created_at.timestamp()),
        expires_at=_to_unix(key.expires_at),
        revoked_at=_to_unix(key.revoked_at),
        last_used_at=_to_unix(key.last_used_at),
    )


def key_with_secret(key: ApiKeyRecord, token: Token) -> KeyWithSecret:
    """Return a new key as it is shown once."""
    return KeyWithSecret(**key_resource(key).model_dump(), key=token.reveal())


def _to_unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
