"""Reconciliation of the responses that run in this worker with those the store assigns to it.

A claim whose reply was lost and a lease that could not be renewed both leave rows that name this
worker although no task of it works on them. A cancel whose pub/sub message was lost is found here.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from models.store.claims import Claim
from models.store.store import Store
from models.store.workers import ClaimedRow
from worker.generation.registry import RunningResponses
from worker.queue import WakeQueue

logger = logging.getLogger(__name__)

Key = tuple[UUID, int]
"""A response id and the number of its attempt."""


class Reconciler:
    """Repair of differences between the store and the running responses, after each heartbeat.

    `reconcile` is called by the heartbeat's thread only, `release_all` by any thread.
    """

    def __init__(
        self,
        store: Store,
        running: RunningResponses,
        wake_queue: WakeQueue,
        model: str,
        *,
        max_response_s: float,
    ) -> None:
        """Create the reconciler.

        `max_response_s` is the longest time in seconds that a response may run, over all of its
        attempts.
        """
        self._store = store
        self._running = running
        self._wake_queue = wake_queue
        self._model = model
        self._max_response_s = max_response_s
        self._to_hand_back: list[Claim] = []
        """Responses that were released and are still to be handed back to the queue."""
        self._unheld: set[Key] = set()
        """Attempts that the last call found in progress here per the store, but held by no task."""

    def release_all(self) -> None:
        """Stop all responses, without further writes: the lease has, or may have, expired.

        `reconcile` hands them back to the queue once the store can be reached.
        """
        released = self._running.release_all(is_lost=True)
        if released:
            logger.warning("responses released", extra={"count": len(released)})
        self._to_hand_back += [generation.handed_back_record() for generation in released]

    def reconcile(self, rows: Sequence[ClaimedRow]) -> None:
        """Stop cancelled and overdue responses and hand back those that no task works on.

        `rows` are the responses in progress in this worker according to the store.
        """
        for row in rows:
            if row.cancel_requested:
                self._running.cancel(row.id)
            elif row.running_s > self._max_response_s:
                self._running.stop_overdue(row.id)
        unheld = [row for row in rows if not self._running.has_claim(row.id, row.attempt)]
        # Seen twice: between the commit of a claim and its reply, no task holds the row yet.
        orphans = [row for row in unheld if (row.id, row.attempt) in self._unheld]
        self._unheld = {(row.id, row.attempt) for row in unheld}
        pending = list(self._to_hand_back)
        if not pending and not orphans:
            return
        handed_back = self._store.claims.hand_back([*pending, *orphans])
        # Only after success: `hand_back` raises while the database is down, and is tried again.
        del self._to_hand_back[: len(pending)]
        if handed_back:
            logger.warning("responses handed back", extra={"count": len(handed_back)})
            self._wake_queue.wake(self._model, len(handed_back))
