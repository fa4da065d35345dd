"""Heartbeat of the worker: renews its lease and reads which responses the store assigns to it.

It has a thread of its own, outside the engine: a long engine step must not cost the lease.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from models.background_thread import BackgroundThread
from models.engine_capabilities import EngineCapabilities
from models.ids import new_id
from models.outages import OUTAGES
from models.store.store import Store
from models.store.workers import LEASE_S, ClaimedRow, LeaseLostError, WorkerIdentity
from models.tables import DEFAULT_PROJECT
from worker.process.timings import WorkerTimings

logger = logging.getLogger(__name__)

Rows = Sequence[ClaimedRow]
"""Responses that are in progress in this worker according to the store."""


class Heartbeat:
    """Thread that registers the worker and renews its lease until it is stopped."""

    def __init__(
        self,
        store: Store,
        name: str,
        model: str,
        timings: WorkerTimings,
        *,
        capabilities: EngineCapabilities,
    ) -> None:
        self._store = store
        self._name = name
        self._model = model
        self._capabilities = capabilities
        self._margin_s = timings.lease_margin_s
        self._thread = BackgroundThread(
            "heartbeat",
            self._beat,
            interval_s=timings.heartbeat_s,
            message="lease not renewed",
        )
        self._on_beat: Callable[[Rows], None] = lambda _: None
        self._on_lost: Callable[[], None] = lambda: None
        self._renewed_at = self._attempted_at = time.monotonic()
        self._is_registered = False
        self.identity = self._new_identity()

    def start(self, on_beat: Callable[[Rows], None], on_lost: Callable[[], None]) -> None:
        """Register the worker, then renew its lease at the interval.

        If the database is out of reach, the worker is registered once it is back. `on_beat` is
        called after each renewal with the responses that are in progress in this worker according
        to the store. `on_lost` is called when the lease has expired, so that the responses may
        belong to other workers.
        """
        self._on_beat, self._on_lost = on_beat, on_lost
        try:
            self._register(self.identity)
        except OUTAGES as error:
            logger.warning("worker not registered yet", extra={"error": str(error)})
        self._thread.start()

    @property
    def is_lease_good(self) -> bool:
        """True while the lease is valid for at least the margin more, by the monotonic clock.

        Counted from before the renewal was sent, so it ends no later than the lease that the
        database has recorded.
        """
        return time.monotonic() < self._renewed_at + LEASE_S - self._margin_s

    @property
    def last_attempt_age_s(self) -> float:
        """Seconds since the last renewal ended, whether it succeeded or the database was away."""
        return time.monotonic() - self._attempted_at

    def stop(self) -> None:
        """Stop the thread and remove the worker's registration; call after the drain."""
        self._thread.stop()
        try:
            self._store.workers.leave(self.identity)
        except OUTAGES:
            logger.warning("lease left to run out: the database is out of reach")

    def give_up(self) -> None:
        """End the lease at once, so that other workers take over the responses that run here."""
        try:
            self._store.workers.give_up(self.identity)
        except OUTAGES:
            logger.warning("lease left to run out: the database is out of reach")

    def _beat(self) -> None:
        try:
            self._on_beat(self._renew())
        finally:
            self._attempted_at = time.monotonic()

    def _renew(self) -> Rows:
        if not self._is_registered:
            # A new one: the first try may have been committed, although its answer was lost.
            self._register(self._new_identity())
        sent_at = time.monotonic()
        try:
            rows = self._store.workers.renew(self.identity)
        except LeaseLostError:
            logger.warning("lease lost; starting over", extra={"worker": self._name})
            self._on_lost()
            self._register(self._new_identity())
            return []
        self._renewed_at = sent_at
        return rows

    def _register(self, identity: WorkerIdentity) -> None:
        sent_at = time.monotonic()
        self._store.workers.register(identity)
        self.identity, self._is_registered, self._renewed_at = identity, True, sent_at

    def _new_identity(self) -> WorkerIdentity:
        return WorkerIdentity(
            id=new_id(),
            project_id=DEFAULT_PROJECT,
            name=self._name,
            model=self._model,
            host=socket.gethostname(),
            pid=os.getpid(),
            capabilities=self._capabilities,
        )
