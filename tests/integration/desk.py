"""Moves responses through the store by hand: what a worker does, one step at a time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import redis

from models.recording.recorder import EndingCause, Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord
from models.store.store import Store
from models.store.workers import WorkerIdentity
from models.streams.event_log import EventLog
from tests.factories import input_message, stored_response, worker_identity


class Desk:
    """Creates, claims, ends; lets leases lapse."""

    def __init__(self, store: Store, sql: Callable[..., list[tuple[Any, ...]]]) -> None:
        self.store = store
        self.sql = sql

    def create(self, text: str = "Hello.", **changes: Any) -> ResponseRecord:
        """A queued response with one input message."""
        new = stored_response(**changes)
        self.store.responses.create(new, [input_message(new.id, text)] if new.store else [])
        return new

    def hire(self, **changes: Any) -> WorkerIdentity:
        """A worker with a lease."""
        worker = worker_identity(**changes)
        self.store.workers.register(worker)
        return worker

    def claim(self, worker: WorkerIdentity | None = None) -> ResponseRecord:
        """What the fairest claim yields; there must be something to claim."""
        worker = worker or self.hire()
        claimed = self.store.claims.claim(worker.id, worker.model)
        assert claimed is not None
        return claimed

    def running(self, **changes: Any) -> ResponseRecord:
        """A response that a worker has claimed."""
        self.create(**changes)
        return self.claim()

    def finish(
        self,
        claimed: ResponseRecord,
        status: ResponseStatus = ResponseStatus.COMPLETED,
        **more: Any,
    ) -> bool:
        """End a claimed response."""
        ending = TerminalRecord(status=status, finished_at=datetime.now(UTC), **more)
        return self.store.finisher.finish(claimed, ending)

    def fail(self, claimed: ResponseRecord, error: dict[str, str]) -> None:
        """End a claimed response, its events complete in the archive and nowhere else."""
        cause = EndingCause(status=ResponseStatus.FAILED, error=error)
        nowhere = EventLog(redis.Redis())
        assert self.store.finisher.finish(claimed, Recorder(claimed, nowhere).finish(cause))

    def lapse_leases(self) -> None:
        """As if every worker had been silent for long."""
        self.sql("UPDATE workers SET lease_until = now() - interval '1 s'")

    def status(self, response: ResponseRecord) -> ResponseStatus:
        """Where a response stands."""
        found = self.store.responses.statuses([(response.project_id, response.id)])
        return found[response.id]

    def num_crashes(self, response: ResponseRecord) -> int:
        """How many workers a response has lost."""
        [[count]] = self.sql("SELECT num_crashes FROM responses WHERE id = %s", response.id)
        return int(count)

    def add_project(self, project_id: str) -> str:
        """A second tenant."""
        self.sql("INSERT INTO projects (project_id) VALUES (%s)", project_id)
        return project_id
