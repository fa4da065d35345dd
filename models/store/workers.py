"""Workers and their leases, by the database's clock."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.engine_capabilities import ALL_CAPABILITIES, EngineCapabilities

LEASE_S = 5.0
"""Seconds from a heartbeat until the worker's lease expires."""

_REGISTER = text("""
    INSERT INTO workers (id, project_id, name, model, host, pid, capabilities, lease_until)
    VALUES (:id, :project_id, :name, :model, :host, :pid, CAST(:capabilities AS jsonb),
            now() + :lease_s * interval '1 s')
""")

# An expired lease cannot be renewed: the worker's responses may have been reclaimed.
_RENEW = text("""
    WITH renewed AS (
        UPDATE workers SET lease_until = now() + :lease_s * interval '1 s'
        WHERE project_id = :project_id AND id = :id AND lease_until > now()
        RETURNING id
    )
    SELECT r.id, r.project_id, r.attempt, r.cancel_requested,
           CAST(extract(epoch FROM now() - r.started_at) AS float) AS running_s
    FROM renewed LEFT JOIN responses r
      ON r.worker_id = renewed.id AND r.status = 'in_progress' AND r.project_id IS NOT NULL
""")

_GIVE_UP = text("""
    UPDATE workers SET lease_until = now() WHERE project_id = :project_id AND id = :id
""")

_END_LEASES = text("""
    UPDATE workers SET lease_until = now()
    WHERE project_id IS NOT NULL AND host = :host AND pid = :pid AND lease_until > now()
    RETURNING id
""")

_LEAVE = text("DELETE FROM workers WHERE project_id = :project_id AND id = :id")

_SERVED = text(
    "SELECT DISTINCT model FROM workers WHERE project_id = :project_id AND lease_until > now()"
)


# While no worker of a model is alive, those that were lost stand for those to come.
_CAPABILITIES = text("""
    SELECT w.model, w.capabilities FROM workers w
    WHERE w.project_id = :project_id AND w.capabilities IS NOT NULL
      AND (w.lease_until > now() OR NOT EXISTS (
        SELECT FROM workers o
        WHERE o.project_id = :project_id AND o.model = w.model AND o.lease_until > now()))
""")

_LIST = text("""
    SELECT w.id, w.name, w.model, w.host, w.pid, w.started_at, w.lease_until,
           w.lease_until > now() AS is_alive, coalesce(l.num, 0) AS num_running
    FROM workers w LEFT JOIN worker_loads() l ON l.worker = w.id
    ORDER BY w.name, w.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """Worker as operators see it."""

    id: UUID
    name: str
    model: str
    host: str
    pid: int
    started_at: datetime
    lease_until: datetime
    is_alive: bool
    num_running: int
    """Responses that it has in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """Identity of a worker process, new at every start."""

    id: UUID
    project_id: str
    name: str
    model: str
    host: str
    pid: int
    capabilities: EngineCapabilities = ALL_CAPABILITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRow:
    """Row of a response that a worker has claimed and not finished."""

    id: UUID
    project_id: str
    attempt: int
    cancel_requested: bool = False
    running_s: float = 0.0
    """Seconds since its first attempt began."""


class LeaseLostError(Exception):
    """Raised if the worker's lease expired before it was renewed."""


class Workers:
    """Data access of workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, worker: WorkerIdentity) -> None:
        """Register a worker that has loaded its weights; its lease begins."""
        values = {
            "id": worker.id,
            "project_id": worker.project_id,
            "name": worker.name,
            "model": worker.model,
            "host": worker.host,
            "pid": worker.pid,
            "capabilities": json.dumps(worker.capabilities.to_json()),
            "lease_s": LEASE_S,
        }
        with self._database.upkeep() as connection:
            connection.execute(_REGISTER, values)

    def renew(self, worker: WorkerIdentity) -> list[ClaimedRow]:
        """Extend the lease; return the responses that the worker has in progress.

        Raises `LeaseLostError` if the lease has expired.
        """
        values = {"id": worker.id, "project_id": worker.project_id, "lease_s": LEASE_S}
        with self._database.upkeep() as connection:
            rows = connection.execute(_RENEW, values).all()
        if not rows:
            raise LeaseLostError(f"the lease of worker {worker.name} has run out")
        return [ClaimedRow(**row._mapping) for row in rows if row.id is not None]

    def give_up(self, worker: WorkerIdentity) -> None:
        """End the worker's own lease at once, because it cannot continue what it has claimed."""
        with self._database.upkeep() as connection:
            connection.execute(_GIVE_UP, {"id": worker.id, "project_id": worker.project_id})

    def end_leases(self, host: str, pid: int) -> list[UUID]:
        """End the leases of a process that is known to be dead; return the ids of its workers."""
        with self._database.upkeep() as connection:
            values = {"host": host, "pid": pid}
            return list(connection.execute(_END_LEASES, values).scalars())

    def leave(self, worker: WorkerIdentity) -> None:
        """Delete a worker that has handed back all its responses."""
        with self._database.upkeep() as connection:
            connection.execute(_LEAVE, {"id": worker.id, "project_id": worker.project_id})

    def list_workers(self) -> list[WorkerRow]:
        """Return all workers that have not left, also those whose leases have expired."""
        with self._database.management() as connection:
            return [WorkerRow(**row._mapping) for row in connection.execute(_LIST)]

    def served_models(self, project_id: str) -> list[str]:
        """Return the models for which at least one worker of the project has a valid lease."""
        with self._database.statement(project_id) as connection:
            return list(connection.execute(_SERVED, {"project_id": project_id}).scalars())

    def published_capabilities(self, project_id: str) -> dict[str, EngineCapabilities]:
        """Return what all workers of a model can do, by model, as far as they have published it."""
        published: dict[str, EngineCapabilities] = {}
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_CAPABILITIES, {"project_id": project_id}).all()
        for model, data in rows:
            capabilities = EngineCapabilities.from_json(data)
            published[model] = capabilities.common(published.get(model, capabilities))
        return published
