"""Early end of a dead worker's lease, so that other workers need not wait for it to expire."""

import logging
import signal
import socket
import threading
import time
from contextlib import suppress

from cli.supervisor.processes import Program
from models.exit_deadline import EXIT_LATE
from models.metrics.publisher import MetricPublisher
from models.metrics.recorder import MetricRecorder
from models.metrics.table import LEASE_RECLAIMS
from models.outages import OUTAGES
from models.store.store import Store
from models.streams.connection import connect

logger = logging.getLogger(__name__)

_TRY_FOR_S = 5.0
"""Seconds to keep trying: by then the lease has expired by itself."""
_RETRY_S = 0.2
_ASKED_TO_END = (0, EXIT_LATE, -signal.SIGKILL, -signal.SIGTERM)
"""Return codes of a worker that was ended from outside."""


class LeaseEnder:
    """Handler of worker deaths; it uses threads, so that it never waits for the database."""

    def __init__(self) -> None:
        self.database_url = ""
        """Address of the database for the maintenance role; set before workers are started."""
        self.redis_url = ""
        """Address of Redis, where reclaims are counted; set at the same time."""

    def on_death(self, program: Program, pid: int, returncode: int) -> None:
        """End a dead worker's leases and reclaim its responses; ignore any other child.

        Unless a worker was asked to end, in time or not, or was ended by SIGKILL or SIGTERM, one of
        its responses is suspected to have brought it down: from then on each of them runs alone in
        its worker.
        """
        if program.name.startswith("worker"):
            is_suspect = returncode not in _ASKED_TO_END
            threading.Thread(target=self._end, args=[pid, is_suspect], daemon=True).start()

    def _end(self, pid: int, is_suspect: bool) -> None:
        url = self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)
        store = Store.open(url, pool_size=1)
        deadline = time.monotonic() + _TRY_FOR_S
        try:
            while time.monotonic() < deadline:
                try:
                    ended = store.workers.end_leases(socket.gethostname(), pid)
                    suspects = ended if is_suspect else []
                    reclaimed = store.reaper.reclaim(suspects) if ended else []
                except OUTAGES:
                    time.sleep(_RETRY_S)
                    continue
                self._count(len(reclaimed))
                logger.info("leases of pid %d ended, %d responses reclaimed", pid, len(reclaimed))
                return
            logger.warning("leases of pid %d left to run out: no database", pid)
        finally:
            store.close()

    def _count(self, num_reclaimed: int) -> None:
        """Publish how many responses were reclaimed; while Redis is away, they are not counted."""
        if not num_reclaimed or not self.redis_url:
            return
        recorder = MetricRecorder()
        recorder.count(LEASE_RECLAIMS, "died", amount=num_reclaimed)
        with suppress(*OUTAGES), connect(self.redis_url, timeout_s=1) as client:
            MetricPublisher(client, recorder=recorder).publish()
