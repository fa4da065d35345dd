"""Idempotency keys: the first request with a key makes the response, all later ones find it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from models.database.connection import Database
from models.responses.record import ResponseRecord

KEY_TTL_H = 24
"""Hours until a key may be used for another request."""

# Of two that come at the same time, the second waits for the first one's commit. A key past its
# time is taken over in place.
_TAKE = text(f"""
    INSERT INTO idempotency_keys AS known (project_id, key, digest, response_id)
    VALUES (:project_id, :key, :digest, :response_id)
    ON CONFLICT (project_id, key) DO UPDATE
    SET digest = excluded.digest, response_id = excluded.response_id, created_at = now()
    WHERE known.created_at < now() - interval '{KEY_TTL_H} hours'
    RETURNING known.response_id
""")

_FIND = text(f"""
    SELECT response_id, digest FROM idempotency_keys
    WHERE project_id = :project_id AND key = :key
      AND created_at >= now() - interval '{KEY_TTL_H} hours'
""")

_EXPIRE = text(f"""
    DELETE FROM idempotency_keys
    WHERE project_id IS NOT NULL AND created_at < now() - interval '{KEY_TTL_H} hours'
""")


class KeyTakenError(Exception):
    """Another request has taken the key meanwhile: it is that one's response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """A client's key and what it was used for."""

    key: str
    digest: bytes
    """SHA-256 of the request's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What a key has been used for."""

    response_id: UUID
    digest: bytes


class IdempotencyKeys:
    """The table of keys. Each belongs to one project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, project_id: str, key: str) -> KeyUse | None:
        """What a key stands for; None if it is free."""
        with self._database.statement() as connection:
            row = connection.execute(_FIND, {"project_id": project_id, "key": key}).first()
        return KeyUse(**row._mapping) if row else None

    def expire(self) -> None:
        """Forget the keys that are past their time."""
        with self._database.statement() as connection:
            connection.execute(_EXPIRE)


def take_key(connection: Connection, new: ResponseRecord, used: RequestKey) -> None:
    """Take a key for a response, in the transaction that creates it, or raise `KeyTakenError`."""
    values = {
        "project_id": new.project_id,
        "key": used.key,
        "digest": used.digest,
        "response_id": new.id,
    }
    if connection.execute(_TAKE, values).first() is None:
        raise KeyTakenError
