"""Removal of deleted projects, in batches, until nothing is left but a row with the id.

That row and those of the keys stay: the id is not used for another project, and a server whose
keys were all of this project does not become open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import MetaData, Table, TextClause, text

from models.database.connection import Database
from models.store.partitions import partitioned_tables
from models.tables.project import Project

LATE_H = 1
"""Hours for which an erased project is looked at again, for rows of requests that were delayed."""

_PENDING = text(f"""
    SELECT project_id, deleted_at, erased_at FROM projects
    WHERE deleted_at IS NOT NULL
      AND coalesce(erased_at > now() - interval '{LATE_H} hours', true)
    ORDER BY deleted_at
""")

_NEXT_RESPONSES = text("""
    SELECT id, status = 'in_progress' AS is_running FROM responses
    WHERE project_id = :project_id ORDER BY id LIMIT :limit
""")
_DELETE_RESPONSES = text("""
    DELETE FROM responses WHERE project_id = :project_id AND id = ANY(:ids)
""")

_STAYING = {"project_id", "created_at", "deleted_at", "erased_at"}
_FORGET_KEYS = text("""
    UPDATE api_keys SET name = '', scopes = '{}', digest = '', pepper = '', last_used_at = NULL
    WHERE project_id = :project_id AND (name, digest) IS DISTINCT FROM ('', CAST('' AS bytea))
""")

_CLEARED = [
    f"{column.name} = DEFAULT" for column in Project.__table__.c if column.name not in _STAYING
]
_FINISH = text(f"""
    UPDATE projects SET {", ".join(_CLEARED)}, erased_at = now()
    WHERE project_id = :project_id AND deleted_at IS NOT NULL AND erased_at IS NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRemoval:
    """Project that is being deleted, or of which a late row may turn up."""

    project_id: str
    deleted_at: datetime
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class FoundResponse:
    """Response of such a project."""

    id: UUID
    is_running: bool


class Removals:
    """Data access of the removal of projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self) -> Sequence[PendingRemoval]:
        """Return the projects to remove."""
        with self._database.management() as connection:
            return [PendingRemoval(**row._mapping) for row in connection.execute(_PENDING)]

    def next_responses(self, project_id: str, *, limit: int) -> Sequence[FoundResponse]:
        """Return some responses of a project."""
        values = {"project_id": project_id, "limit": limit}
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_NEXT_RESPONSES, values)
            return [FoundResponse(row.id, row.is_running) for row in rows]

    def delete_responses(self, project_id: str, response_ids: Sequence[UUID]) -> None:
        """Delete responses with their items, events and deliveries."""
        values = {"project_id": project_id, "ids": list(response_ids)}
        with self._database.statement(project_id) as connection:
            connection.execute(_DELETE_RESPONSES, values)

    def delete_rows(self, project_id: str, tables: Sequence[Table], *, limit: int) -> int:
        """Delete up to `limit` rows of each of some tables; return their number."""
        num_deleted = 0
        for table in tables:
            with self._database.statement(project_id) as connection:
                values = {"project_id": project_id, "limit": limit}
                num_deleted += connection.execute(_delete_rows_of(table), values).rowcount
        return num_deleted

    def finish(self, project_id: str) -> bool:
        """Forget the fields of a project and of its keys; False if another process has done so."""
        with self._database.management() as connection:
            connection.execute(_FORGET_KEYS, {"project_id": project_id})
        with self._database.management() as connection:
            return bool(connection.execute(_FINISH, {"project_id": project_id}).rowcount)


def removed_tables(metadata: MetaData) -> list[Table]:
    """Return the tables whose rows are deleted by the project that they name, children first.

    Rows that belong to responses are deleted with these.
    """
    others = {"projects", "api_keys", "audit_entries", "workers", *partitioned_tables()}
    tables = reversed(metadata.sorted_tables)
    return [table for table in tables if "project_id" in table.c and table.name not in others]


@cache
def _delete_rows_of(table: Table) -> TextClause:
    key = ", ".join(column.name for column in table.primary_key)
    return text(f"""
        DELETE FROM {table.name} WHERE ({key}) IN (
            SELECT {key} FROM {table.name} WHERE project_id = :project_id LIMIT :limit)
          AND project_id = :project_id
    """)
