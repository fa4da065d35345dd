"""Writes every few seconds how far the running responses have come: one UPDATE for all of them."""

import logging
import threading
from uuid import UUID

from models.errors import UnavailableError
from models.responses.checkpoint import Checkpoint
from models.store.store import Store
from worker.generation.registry import RunningResponses

logger = logging.getLogger(__name__)


class Checkpointer:
    """A thread of its own: neither the engine nor the emitter waits for Postgres."""

    def __init__(self, store: Store, running: RunningResponses, *, interval_s: float) -> None:
        """An `interval_s` of 0 makes no checkpoints."""
        self._store = store
        self._running = running
        self._interval_s = interval_s
        self._written: dict[UUID, Checkpoint] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to do."""
        if self._interval_s:
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def write(self) -> None:
        """Write the checkpoints that have changed since the last time."""
        reached = {each.id: each for each in self._running.reached()}
        changed = [
            each for each in reached.values() if each.checkpoint != self._written.get(each.id)
        ]
        if changed:
            self._store.checkpoints.write(changed)
        self._written = {key: each.checkpoint for key, each in reached.items() if each.checkpoint}

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.write()
            except UnavailableError as error:
                logger.warning("checkpoints not written", extra={"error": str(error)})
