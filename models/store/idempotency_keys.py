"""Idempotency keys: the first request with a key creates the response; repeats find it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.store.content.codec import ContentCodec

KEY_TTL_H = 24
"""Hours after which a key may be used for another request."""

# Of two concurrent inserts, the second waits for the commit of the first. An expired key is reused
# in place.
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
    """Raised if another request has taken the key in the meantime, whose response is to be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """Idempotency key of a request, with the digest of its body."""

    key: str
    digest: bytes
    """SHA-256 of the request body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """Earlier use of a key: its response, and if the request was the same."""

    response_id: UUID
    is_same: bool


class IdempotencyKeys:
    """Data access of idempotency keys, each of which belongs to one project."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec

    def find(self, project_id: str, asked: RequestKey) -> KeyUse | None:
        """Return the use of a key; None if it is unused or expired."""
        keyed_digest = self._codec.keyed_digest(project_id, "request", asked.digest)
        with self._database.statement(project_id) as connection:
            row = connection.execute(_FIND, {"project_id": project_id, "key": asked.key}).first()
        if row is None:
            return None
        is_same = row.digest in (asked.digest, keyed_digest)
        return KeyUse(response_id=row.response_id, is_same=is_same)

    def expire(self) -> None:
        """Delete the expired keys of all projects."""
        with self._database.upkeep() as connection:
            connection.execute(_EXPIRE)


def take_key(connection: Connection, new: ResponseRecord, used: RequestKey) -> None:
    """Take a key for a response in the transaction that creates it; raise `KeyTakenError`."""
    values = {
        "project_id": new.project_id,
        "key": used.key,
        "digest": used.digest,
        "response_id": new.id,
    }
    if connection.execute(_TAKE, values).first() is None:
        raise KeyTakenError
