"""API keys: create, find, rotate, revoke, and the time of their use."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from models.access.digests import KeyDigest
from models.access.scopes import Scope
from models.database.connection import Database

_COLUMNS = """
    k.id, k.project_id, k.name, k.scopes, k.digest, k.pepper, k.created_by, k.created_at,
    k.expires_at, k.revoked_at, k.last_used_at
"""

# No key is created for a project that is being deleted.
_CREATE = text(f"""
    WITH owner AS (
        SELECT project_id FROM projects
        WHERE project_id = :project_id AND deleted_at IS NULL FOR SHARE
    )
    INSERT INTO api_keys AS k (id, project_id, name, scopes, digest, pepper, created_by, expires_at)
    SELECT :id, project_id, :name, CAST(:scopes AS text[]), :digest, :pepper, :created_by,
           CAST(:expires_at AS timestamptz)
    FROM owner
    RETURNING {_COLUMNS}
""")

_LIST = text(f"""
    SELECT {_COLUMNS} FROM api_keys k
    WHERE CAST(:project_id AS text) IS NULL OR k.project_id = :project_id
    ORDER BY k.created_at DESC, k.id
""")

_IS_VALID = """
    k.revoked_at IS NULL AND p.deleted_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > now())
"""

_FIND = text(f"""
    SELECT {_COLUMNS} FROM api_keys k JOIN projects p USING (project_id)
    WHERE k.id = :id AND {_IS_VALID}
""")

_VALID = text(f"""
    SELECT k.id FROM api_keys k JOIN projects p USING (project_id)
    WHERE k.id = ANY(CAST(:ids AS text[])) AND {_IS_VALID}
""")

_REVOKE = text(f"""
    UPDATE api_keys k SET revoked_at = coalesce(k.revoked_at, now())
    WHERE k.id = :id AND (CAST(:project_id AS text) IS NULL OR k.project_id = :project_id)
    RETURNING {_COLUMNS}
""")

_GET = text(f"SELECT {_COLUMNS} FROM api_keys k WHERE k.id = :id")

# The new key has the project, the name and the scopes of the old one.
_ROTATE = text(f"""
    WITH old AS (
        UPDATE api_keys k
        SET expires_at = least(k.expires_at, now() + :grace_s * interval '1 s')
        FROM projects p WHERE k.id = :old_id AND p.project_id = k.project_id AND {_IS_VALID}
        RETURNING k.project_id, k.name, k.scopes
    )
    INSERT INTO api_keys AS k (id, project_id, name, scopes, digest, pepper, created_by, expires_at)
    SELECT :id, project_id, name, scopes, :digest, :pepper, :created_by,
           CAST(:expires_at AS timestamptz)
    FROM old
    RETURNING {_COLUMNS}
""")

# A row that is locked is being marked by another process, with the time of now.
_MARK_USED = text("""
    UPDATE api_keys SET last_used_at = now() WHERE id IN (
        SELECT id FROM api_keys WHERE id = ANY(CAST(:ids AS text[]))
          AND coalesce(last_used_at < now() - interval '30 s', true)
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    )
""")

_SET_DIGEST = text("""
    UPDATE api_keys SET digest = :digest, pepper = :pepper
    WHERE project_id = :project_id AND id = :id AND pepper = :before
""")

_ANY = text("SELECT EXISTS (SELECT FROM api_keys)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """One row of `api_keys`."""

    id: str
    project_id: str
    name: str
    scopes: frozenset[Scope]
    digest: KeyDigest
    created_by: str
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class ApiKeys:
    """Data access of API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.vault = database.vault
        """Vault whose peppers the digests are made with."""

    def any_exists(self) -> bool:
        """Return True if a key was ever created, even if it is no longer valid."""
        with self._database.management() as connection:
            return bool(connection.execute(_ANY).scalar_one())

    def create(self, new: ApiKeyRecord) -> ApiKeyRecord | None:
        """Create a key; None if there is no such project."""
        values = {
            "id": new.id,
            "project_id": new.project_id,
            "name": new.name,
            "scopes": sorted(new.scopes),
            "digest": new.digest.value,
            "pepper": new.digest.pepper,
            "created_by": new.created_by,
            "expires_at": new.expires_at,
        }
        with self._database.statement(new.project_id) as connection:
            row = connection.execute(_CREATE, values).first()
        return _to_record(row) if row else None

    def get(self, key_id: str) -> ApiKeyRecord | None:
        """Return a key, whether or not it is valid; None if it is unknown."""
        with self._database.management() as connection:
            row = connection.execute(_GET, {"id": key_id}).first()
        return _to_record(row) if row else None

    def rotate(
        self,
        old_id: str,
        new_id: str,
        digest: KeyDigest,
        *,
        created_by: str,
        grace_s: float,
        expires_at: datetime | None = None,
    ) -> ApiKeyRecord | None:
        """Create a key in the place of a valid one, which expires `grace_s` seconds from now.

        None if there is no such valid key.
        """
        values = {
            "old_id": old_id,
            "id": new_id,
            "digest": digest.value,
            "pepper": digest.pepper,
            "created_by": created_by,
            "grace_s": grace_s,
            "expires_at": expires_at,
        }
        with self._database.management() as connection:
            row = connection.execute(_ROTATE, values).first()
        return _to_record(row) if row else None

    def mark_used(self, key_ids: Collection[str]) -> None:
        """Note that keys have been used in the last minute."""
        with self._database.management() as connection:
            connection.execute(_MARK_USED, {"ids": list(key_ids)})

    def find(self, key_id: str) -> ApiKeyRecord | None:
        """Return a valid key; None if it is unknown, revoked or expired, or without a project."""
        with self._database.management() as connection:
            row = connection.execute(_FIND, {"id": key_id}).first()
        return _to_record(row) if row else None

    def renew_digest(self, key: ApiKeyRecord, digest: KeyDigest) -> None:
        """Replace the digest of a key by one that is made with another pepper."""
        values = {"project_id": key.project_id, "id": key.id, "before": key.digest.pepper}
        fresh = {"digest": digest.value, "pepper": digest.pepper}
        with self._database.statement(key.project_id) as connection:
            connection.execute(_SET_DIGEST, values | fresh)

    def valid(self, key_ids: Collection[str]) -> set[str]:
        """Return those of the ids whose keys are valid."""
        with self._database.management() as connection:
            return set(connection.execute(_VALID, {"ids": list(key_ids)}).scalars())

    def list_keys(self, project_id: str | None = None) -> Sequence[ApiKeyRecord]:
        """Return the keys of a project, or of all, newest first."""
        with self._within(project_id) as connection:
            return [
                _to_record(row) for row in connection.execute(_LIST, {"project_id": project_id})
            ]

    def revoke(self, key_id: str, project_id: str | None = None) -> ApiKeyRecord | None:
        """Revoke a key, of a project if one is given; None if there is no such key."""
        with self._within(project_id) as connection:
            row = connection.execute(_REVOKE, {"id": key_id, "project_id": project_id}).first()
        return _to_record(row) if row else None

    def _within(self, project_id: str | None) -> AbstractContextManager[Connection]:
        database = self._database
        return database.management() if project_id is None else database.statement(project_id)


def _to_record(row: Row[Any]) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        # A scope of a later version gives no right here.
        scopes=frozenset(map(Scope, {*row.scopes} & {*Scope})),
        digest=KeyDigest(bytes(row.digest), row.pepper),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
