"""Compares what this worker runs with what the store says it runs, and sets right what differs.

A claim whose answer was lost, a lease that could not be renewed: each leaves rows that name this
worker while nobody works on them. A cancel whose nudge was lost is heard of here.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from models.store.claims import Held
from models.store.store import Store
from models.store.workers import HeldRow
from worker.generation.registry import RunningResponses
from worker.queue import WakeQueue

logger = logging.getLogger(__name__)

Key = tuple[UUID, int]


class Reconciler:
    """What the heartbeat does beside renewing the lease. Used by its thread, `lose` by any."""

    def __init__(
        self,
        store: Store,
        running: RunningResponses,
        wake_queue: WakeQueue,
        model: str,
        *,
        max_response_s: float,
    ) -> None:
        """`max_response_s`: how long a response may run, all its attempts together."""
        self._store = store
        self._running = running
        self._wake_queue = wake_queue
        self._model = model
        self._max_response_s = max_response_s
        self._owed: list[Held] = []
        """Released without having been handed back."""
        self._unknown: set[Key] = set()
        """In progress here according to the store, and nobody's at the last look."""

    def lose(self) -> None:
        """The lease is lost, or may be: stop writing, and hand back when the store is there."""
        released = self._running.release_all(is_lost=True)
        if released:
            logger.warning("responses released", extra={"count": len(released)})
        self._owed += [generation.reached() or generation.stored for generation in released]

    def look(self, rows: Sequence[HeldRow]) -> None:
        """Act on what the store says is in progress here."""
        for row in rows:
            if row.cancel_requested:
                self._running.cancel(row.id)
            elif row.running_s > self._max_response_s:
                self._running.cut(row.id)
        nobodys = [row for row in rows if not self._running.holds(row.id, row.attempt)]
        # Twice: between the commit of a claim and its answer, a row is nobody's for a moment.
        orphans = [row for row in nobodys if (row.id, row.attempt) in self._unknown]
        self._unknown = {(row.id, row.attempt) for row in nobodys}
        owed = list(self._owed)
        if not owed and not orphans:
            return
        handed_back = self._store.claims.hand_back([*owed, *orphans])
        # Not before: what could not be handed back now is owed still.
        del self._owed[: len(owed)]
        if handed_back:
            logger.warning("responses handed back", extra={"count": len(handed_back)})
            self._wake_queue.wake(self._model, len(handed_back))
