"""Looks for work that no hint tells of: while Redis is away, or before it is used again.

Hints make a worker quick; this makes it independent of them.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from models.errors import UnavailableError
from models.store.store import Store
from worker.generation.registry import RunningResponses

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0


class Poller:
    """A thread that asks the store every second, and runs what has waited since the last time."""

    def __init__(
        self,
        store: Store,
        running: RunningResponses,
        *,
        model: str,
        max_sequences: int,
        worker_id: Callable[[], UUID],
        run_queued: Callable[[], None],
    ) -> None:
        self._store = store
        self._running = running
        self._model = model
        self._max_sequences = max_sequences
        self._worker_id = worker_id
        self._run_queued = run_queued
        self._was_queued = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._tasks = ThreadPoolExecutor(max_sequences, thread_name_prefix="polled")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End every thread; call after the drain."""
        self._stopping.set()
        self._thread.join()
        self._tasks.shutdown()

    def look(self) -> None:
        """Run what is queued now, was queued at the last look, and finds room here."""
        claims = self._store.claims
        self._running.stands_by = claims.is_due_to_stand_by(self._worker_id(), self._model)
        num_free = self._max_sequences - self._running.num_held
        is_queued = num_free > 0 and claims.has_queued(self._model)
        if is_queued and self._was_queued and not self._running.is_closed:
            # One task claims one after the other; a few more each second fill the worker.
            for _ in range(min(num_free, 8)):
                self._tasks.submit(self._run_queued)
        self._was_queued = is_queued
        if num_free <= 0 and claims.has_queued(self._model, least_priority=1):
            self._make_room()

    def _make_room(self) -> None:
        """Put a `flex` response off, between two of its tokens, for a `priority` one that waits.

        The task that ran it goes on with the fairest that is queued, which is that one.
        """
        generation = self._running.release_flex()
        if generation is None:
            return
        generation.wait()
        self._store.claims.hand_back([generation.reached() or generation.stored])
        logger.info("response put off", extra={"response_id": generation.stored.id.hex})

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            try:
                self.look()
            except UnavailableError as error:
                logger.warning("queue not looked at", extra={"error": str(error)})
