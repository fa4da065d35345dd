"""Periodic poll for queued responses that no wake-up announces, for example while Redis is down.

Wake-ups keep the latency low; polling makes the worker independent of them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from models.background_thread import BackgroundThread
from models.store.store import Store
from worker.generation.registry import RunningResponses


class Poller:
    """Thread that polls the store and runs what has been queued since the poll before."""

    def __init__(
        self,
        store: Store,
        running: RunningResponses,
        *,
        model: str,
        max_sequences: int,
        worker_id: Callable[[], UUID],
        interval_s: float,
    ) -> None:
        self._store = store
        self._running = running
        self._model = model
        self._max_sequences = max_sequences
        self._worker_id = worker_id
        self._run_queued: Callable[[], None] = lambda: None
        self._was_queued = False
        self._thread = BackgroundThread(
            "poller",
            self.poll,
            interval_s=interval_s,
            message="queue not looked at",
        )
        self._tasks = ThreadPoolExecutor(max_sequences, thread_name_prefix="polled")

    def start(self, run_queued: Callable[[], None]) -> None:
        """Start the thread; `run_queued` runs queued responses until there are none."""
        self._run_queued = run_queued
        self._thread.start()

    def stop(self) -> None:
        """Stop every thread and wait for them; call after the drain."""
        self._thread.stop()
        self._tasks.shutdown()

    def poll(self) -> None:
        """Run queued responses if some were queued at the last poll, too, and there is room."""
        claims = self._store.claims
        self._running.is_standing_by = claims.is_due_to_stand_by(self._worker_id(), self._model)
        num_free = self._max_sequences - self._running.num_claims
        is_queued = num_free > 0 and claims.has_queued(self._model)
        if is_queued and self._was_queued and not self._running.is_closed:
            # Each task claims one response after the other; a few more per poll fill the worker.
            for _ in range(min(num_free, 8)):
                self._tasks.submit(self._run_queued)
        self._was_queued = is_queued
