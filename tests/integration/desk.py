"""Manual control of responses in the store: a worker's operations, one at a time."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import redis

from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord
from models.store.store import Store
from models.store.workers import WorkerIdentity
from models.streams.event_log import EventLog
from tests.factories import input_message, stored_response, worker_identity


class Desk:
    """Operations of workers on the store, and shortcuts to set up its state."""

    def __init__(self, store: Store, sql: Callable[..., list[tuple[Any, ...]]]) -> None:
        self.store = store
        self.sql = sql

    def create(self, text: str = "Hello.", **changes: Any) -> ResponseRecord:
        """Create a queued response with one input message."""
        new = stored_response(**changes)
        if new.store:
            key = self.store.responses.new_content_key(new.project_id, new.id)
            new = replace(new, content_key=key)
        self.store.responses.create(new, [input_message(new.id, text)] if new.store else [])
        return new

    def hire(self, **changes: Any) -> WorkerIdentity:
        """Register a worker with a valid lease."""
        worker = worker_identity(**changes)
        self.store.workers.register(worker)
        return worker

    def claim(self, worker: WorkerIdentity | None = None) -> ResponseRecord:
        """Claim the next queued response; there must be one."""
        worker = worker or self.hire()
        claimed = self.store.claims.claim(worker.id, worker.model)
        assert claimed is not None
        return claimed

    def running(self, **changes: Any) -> ResponseRecord:
        """Create a response and claim it."""
        self.create(**changes)
        return self.claim()

    def finish(
        self,
        claimed: ResponseRecord,
        status: ResponseStatus = ResponseStatus.COMPLETED,
        **more: Any,
    ) -> bool:
        """Finish a claimed response; return False if it was no longer the caller's."""
        terminal = TerminalRecord(status=status, finished_at=datetime.now(UTC), **more)
        return self.store.finisher.finish(claimed, terminal)

    def fail(self, claimed: ResponseRecord, error: dict[str, str]) -> None:
        """Fail a claimed response, with all its events in the archive and none in Redis."""
        cause = EndingCause(status=ResponseStatus.FAILED, error=error)
        nowhere = EventLog(redis.Redis())
        assert self.store.finisher.finish(claimed, Recorder(claimed, nowhere).finish(cause))

    def lapse_leases(self) -> None:
        """Expire the lease of every worker."""
        self.sql("UPDATE workers SET lease_until = now() - interval '1 s'")

    def status(self, response: ResponseRecord) -> ResponseStatus:
        """Return the status of a response."""
        found = self.store.responses.statuses([(response.project_id, response.id)])
        return found[response.id]

    def num_crashes(self, response: ResponseRecord) -> int:
        """Return the number of workers that a response has lost."""
        [[count]] = self.sql("SELECT num_crashes FROM responses WHERE id = %s", response.id)
        return int(count)

    def add_project(
        self, project_id: str, *, weight: float = 1, max_running: int | None = None
    ) -> str:
        """Add a project; return its id."""
        limits = {} if max_running is None else {"max_running": max_running}
        self.sql(
            "INSERT INTO projects (project_id, weight, limits) VALUES (%s, %s, CAST(%s AS json))",
            project_id,
            weight,
            json.dumps(limits),
        )
        return project_id
