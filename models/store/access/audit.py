"""Audit trail: entries are added, listed, and expire by their age."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.ids import new_id

NO_PROJECT = ""
"""Project of an entry that is about none, such as failed attempts to authenticate."""

_ADD = text("""
    INSERT INTO audit_entries
        (id, project_id, key_id, address, action, object, result, num_times)
    VALUES (:id, :project_id, :key_id, :address, :action, :object, :result, :num_times)
""")

# Ids are in the order of time, to the millisecond.
_LIST = text("""
    SELECT id, project_id, occurred_at, key_id, address, action, object, result, num_times
    FROM audit_entries
    WHERE (CAST(:project_id AS text) IS NULL OR project_id = :project_id)
      AND (CAST(:since AS timestamptz) IS NULL OR occurred_at >= :since)
      AND (CAST(:after AS uuid) IS NULL OR id < :after)
    ORDER BY id DESC LIMIT :limit
""")

_EXPIRE = text("SELECT expire_audit_entries(:before)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntryRecord:
    """One row of `audit_entries`; no field holds what a client has written."""

    id: UUID = field(default_factory=new_id)
    project_id: str
    occurred_at: datetime | None = None
    """Time at which it was written; set by the database."""
    key_id: str | None = None
    address: str | None = None
    action: str
    object: str
    result: str
    num_times: int = 1
    """How often it has happened, of what is counted and not written one by one."""


class AuditTrail:
    """Data access of the audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entry: AuditEntryRecord) -> None:
        """Add an entry."""
        values = {
            "id": entry.id,
            "project_id": entry.project_id,
            "key_id": entry.key_id,
            "address": entry.address,
            "action": entry.action,
            "object": entry.object,
            "result": entry.result,
            "num_times": entry.num_times,
        }
        with self._database.management() as connection:
            connection.execute(_ADD, values)

    def list_entries(
        self,
        *,
        project_id: str | None = None,
        since: datetime | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[AuditEntryRecord]:
        """Return entries, newest first: of one project, since a time, or before another entry."""
        values = {"project_id": project_id, "since": since, "after": after, "limit": limit}
        with self._database.management() as connection:
            rows = connection.execute(_LIST, values).all()
        return [AuditEntryRecord(**row._mapping) for row in rows]

    def expire(self, *, before: datetime) -> int:
        """Delete up to 1,000 of the oldest entries from before a time; return their number."""
        with self._database.upkeep() as connection:
            return int(connection.scalar(_EXPIRE, {"before": before}) or 0)
