"""The maintenance process: what was lost is taken up again; webhooks and retention beside it.

Any number may run; each step is safe beside itself, so none needs to lead.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis

from models.errors import UnavailableError
from models.logging import configure_logging
from models.recording.finalize import finalize_orphan
from models.recording.recorder import EndingCause
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import EventLog
from worker.maintenance.retention import Retention
from worker.maintenance.webhook_delivery import Deliverer
from worker.queue import WakeQueue, queue_name

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5
GRACE_S = 3.0
"""After the database was away, workers renew or hand back before anything is taken from them."""
POISON = EndingCause(
    status=ResponseStatus.FAILED,
    error={"code": "server_error", "message": "Its workers were lost three times over."},
)


class Maintenance:
    """One round after the other, twice a second."""

    def __init__(self, settings: Settings, pulse: Path | None = None) -> None:
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(settings.database_url, pool_size=2)
        self._client = connect(settings.redis_url)
        self._log = EventLog(self._client)
        self._wake_queue = WakeQueue(settings.redis_url)
        self._pulse = pulse
        self._reclaim_from = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; a round that fails is tried again in the next."""
        while not stopping.wait(INTERVAL_S):
            if self._pulse is not None:
                with suppress(OSError):
                    self._pulse.touch()
            if time.monotonic() >= self._reclaim_from:
                self._attempt(self.reclaim)
            self._attempt(self.wake)

    def close(self) -> None:
        """Close every connection."""
        self._wake_queue.close()
        self._store.close()
        self._client.close()

    def reclaim(self) -> None:
        """Put the responses of lost workers back into the queue; fail those that kill workers."""
        reclaimed = self._store.reaper.reclaim()
        if reclaimed:
            logger.warning("responses reclaimed", extra={"count": len(reclaimed)})
        poisonous = self._store.reaper.poisonous()
        if poisonous:
            self._client.ping()  # what was shown is in the log: it may be away, and not lost
        for stored in poisonous:
            if finalize_orphan(self._store, self._log, stored, POISON):
                logger.error("response given up", extra={"response_id": stored.id.hex})

    def wake(self) -> None:
        """Send the hints that queued rows lack: lost with a broker, or never sent."""
        for model, num_queued in self._store.reaper.num_queued().items():
            missing = num_queued - self._client.llen(queue_name(model))
            if missing > 0:
                self._wake_queue.wake(model, missing)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (UnavailableError, redis.RedisError) as error:
            if isinstance(error, UnavailableError):
                self._reclaim_from = time.monotonic() + GRACE_S
            logger.warning(
                "maintenance step failed", extra={"step": step.__name__, "error": str(error)}
            )


def main(settings: Settings, pulse: Path | None = None) -> None:
    """Run the loop until SIGTERM."""
    configure_logging(settings.log_level)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    deliverer, retention = Deliverer(settings), Retention(settings)
    beside = [
        threading.Thread(target=_run, args=[run, stopping], name=name)
        for name, run in (("webhooks", deliverer.run), ("retention", retention.run))
    ]
    for thread in beside:
        thread.start()
    Maintenance(settings, pulse).run(stopping)
    for thread in beside:
        thread.join()


def _run(part: Callable[[threading.Event], None], stopping: threading.Event) -> None:
    """Run a part; a fault that ends it ends the process, which is then started again."""
    try:
        part(stopping)
    finally:
        stopping.set()
