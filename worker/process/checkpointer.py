"""Periodic checkpoints of the running responses, written in one UPDATE for all of them."""

from uuid import UUID

from models.background_thread import BackgroundThread
from models.responses.checkpoint import Checkpoint
from models.store.store import Store
from worker.generation.registry import RunningResponses


class Checkpointer:
    """Thread that writes checkpoints, so that neither engine nor emitter waits for Postgres."""

    def __init__(self, store: Store, running: RunningResponses, *, interval_s: float) -> None:
        """Write a checkpoint every `interval_s` seconds; 0 disables checkpoints."""
        self._store = store
        self._running = running
        self._interval_s = interval_s
        self._written: dict[UUID, Checkpoint] = {}
        self._thread = BackgroundThread(
            "checkpointer",
            self.write,
            interval_s=interval_s,
            message="checkpoints not written",
        )

    def start(self) -> None:
        """Start the thread unless checkpoints are disabled."""
        if self._interval_s:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._thread.stop()

    def write(self) -> None:
        """Write the checkpoints that have changed since the last call."""
        records = {record.id: record for record in self._running.checkpointed_records()}
        changed = [
            record
            for record in records.values()
            if record.checkpoint != self._written.get(record.id)
        ]
        if changed:
            self._store.checkpoints.write(changed)
        self._written = {
            response_id: record.checkpoint
            for response_id, record in records.items()
            if record.checkpoint
        }
