"""Heartbeat of the worker: renews its lease and reads which responses the store assigns to it.

It has a thread of its own, outside the engine: a long engine step must not cost the lease.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from models.background_thread import BackgroundThread
from models.errors import UnavailableError
from models.ids import new_id
from models.store.store import Store
from models.store.workers import LEASE_S, ClaimedRow, LeaseLostError, WorkerIdentity
from models.tables import DEFAULT_PROJECT
from worker.process.timings import WorkerTimings

logger = logging.getLogger(__name__)

Rows = Sequence[ClaimedRow]
"""Responses that are in progress in this worker according to the store."""


class Heartbeat:
    """Thread that registers the worker and renews its lease until it is stopped."""

    def __init__(self, store: Store, name: str, model: str, timings: WorkerTimings) -> None:
        self._store = store
        self._name = name
        self._model = model
        self._margin_s = timings.lease_margin_s
        self._thread = BackgroundThread(
            "heartbeat",
            self._beat,
            interval_s=timings.heartbeat_s,
            errors=(UnavailableError,),
            message="lease not renewed",
        )
        self._on_beat: Callable[[Rows], None] = lambda _: None
        self._on_lost: Callable[[], None] = lambda: None
        self._renewed_at = time.monotonic()
        self.identity = self._new_identity()

    def start(self, on_beat: Callable[[Rows], None], on_lost: Callable[[], None]) -> None:
        """Register the worker, then renew its lease at the interval.

        `on_beat` is called after each renewal with the responses that are in progress in this
        worker according to the store. `on_lost` is called when the lease has expired, so that the
        responses may belong to other workers.
        """
        self._on_beat, self._on_lost = on_beat, on_lost
        self._renewed_at = time.monotonic()
        self._store.workers.register(self.identity)
        self._thread.start()

    @property
    def is_lease_good(self) -> bool:
        """True while the lease is valid for at least the margin more, by the monotonic clock.

        Counted from before the renewal was sent, so it ends no later than the lease that the
        database has recorded.
        """
        return time.monotonic() < self._renewed_at + LEASE_S - self._margin_s

    def stop(self) -> None:
        """Stop the thread and remove the worker's registration; call after the drain."""
        self._thread.stop()
        try:
            self._store.workers.leave(self.identity)
        except UnavailableError:
            logger.warning("lease left to run out: the database is out of reach")

    def give_up(self) -> None:
        """End the lease at once, so that other workers take over the responses that run here."""
        try:
            self._store.workers.give_up(self.identity)
        except UnavailableError:
            logger.warning("lease left to run out: the database is out of reach")

    def _beat(self) -> None:
        sent_at = time.monotonic()
        try:
            rows = self._store.workers.renew(self.identity)
        except LeaseLostError:
            logger.warning("lease lost; starting over", extra={"worker": self._name})
            self._on_lost()
            successor = self._new_identity()
            self._store.workers.register(successor)
            self.identity, rows = successor, []
        self._renewed_at = sent_at
        self._on_beat(rows)

    def _new_identity(self) -> WorkerIdentity:
        return WorkerIdentity(
            id=new_id(),
            project_id=DEFAULT_PROJECT,
            name=self._name,
            model=self._model,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
