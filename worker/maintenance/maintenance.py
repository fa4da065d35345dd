"""The maintenance process: the reaper loop; all else that it does has threads.

Any number of maintenance processes may run: each step is safe to run concurrently with itself, so
no leader is elected.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from models.database.refusal import exit_if_refused
from models.errors import UnavailableError
from models.exit_deadline import end_within
from models.limits.windows import Windows
from models.logging import configure_logging
from models.metrics.publisher import MetricPublisher
from models.metrics.recorder import RECORDER
from models.metrics.table import LEASE_RECLAIMS, POISONED, REPUBLISHED
from models.outages import OUTAGES, OutageLog
from models.recording.finalize import finalize_orphan
from models.responses.ending import failed_cause
from models.settings import Settings
from models.store.fairness.flows import MAX_RELEASED
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tracing.tracer import TRACER
from models.vital_thread import VitalThread
from worker.maintenance.forecasts import ForecastPublisher
from worker.maintenance.minutes import MinuteWriter
from worker.maintenance.removal import ProjectRemoval
from worker.maintenance.retention import Retention
from worker.maintenance.webhook_delivery import Deliverer
from worker.queue import MAX_WAITING, WakeQueue, queue_name

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5
"""Seconds between two rounds."""
FLOWS_S = 1.0
"""Least time in seconds between two refreshes of the flows of fair queueing."""
FLOWS_FACTOR = 10.0
"""The same in durations of the last one, so that a long queue is not read all the time."""
GRACE_S = 3.0
"""Seconds without reclaims after a database outage.

In that time workers renew their leases or hand their responses back.
"""
_END_S = 8.0
"""Seconds that the process takes at most to end; a supervisor allows ten."""
POISON = failed_cause("Its workers were lost three times over.")
"""Failure recorded for a response during which too many workers were lost."""


class Maintenance:
    """Loop that reclaims the responses of lost workers and repeats lost wake-ups."""

    def __init__(
        self,
        settings: Settings,
        pulse: Path | None = None,
        *,
        interval_s: float = INTERVAL_S,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """Open the connections.

        A round starts `interval_s` seconds after the one before. No more than `max_waiting`
        wake-ups of one model wait at a time.
        """
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=2,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
        self._client = connect(settings.redis_url)
        self._log = EventLog(self._client)
        self._unstored = UnstoredContents(self._client, ended_ttl_s=settings.unstored_seconds)
        self._windows = Windows(self._client)
        self._wake_queue = WakeQueue(settings.redis_url, max_waiting=max_waiting)
        self._metrics = MetricPublisher(self._client)
        self._pulse = pulse
        self._interval_s = interval_s
        self._reclaim_from = 0.0
        self._flows_from = 0.0
        self._outages = {
            step: OutageLog(logger, f"maintenance step {step} failed")
            for step in ("check_role", "reclaim", "release", "wake", "refresh_flows")
        }

    def run(self, stopping: threading.Event) -> None:
        """Run rounds until `stopping` is set; a step that fails is retried in the next round."""
        self._metrics.start()
        while not stopping.wait(self._interval_s):
            self._touch_pulse()
            if time.monotonic() >= self._reclaim_from:
                self._attempt(self.reclaim)
            self._attempt(self.release)
            self._attempt(self.wake)
            if time.monotonic() >= self._flows_from:
                self._attempt(self.refresh_flows)

    def close(self) -> None:
        """Close every connection."""
        self._metrics.stop()
        self._wake_queue.close()
        self._store.close()
        self._client.close()

    def check_role(self, stopping: threading.Event) -> None:
        """Wait for Postgres; raise `UpkeepRefusedError` if the role sees one project at a time."""
        outages = self._outages["check_role"]
        while not stopping.is_set():
            self._touch_pulse()
            try:
                self._store.database.check_upkeep()
            except OUTAGES as error:
                stopping.wait(outages.failed(error))
            else:
                return outages.succeeded()

    def reclaim(self) -> None:
        """Requeue the responses of lost workers; fail those that have lost too many workers."""
        reclaimed = self._store.reaper.reclaim()
        if reclaimed:
            RECORDER.count(LEASE_RECLAIMS, "expired", amount=len(reclaimed))
            logger.warning("responses reclaimed", extra={"count": len(reclaimed)})
        poisonous = self._store.reaper.poisonous()
        if poisonous:
            self._client.ping()  # the streamed output is in Redis: it may be unreachable, not lost
        for record in poisonous:
            if finalize_orphan(
                self._store, self._log, self._unstored, self._windows, record, POISON
            ):
                RECORDER.count(POISONED)
                logger.error("response given up", extra={"response_id": record.id.hex})

    def release(self) -> None:
        """Let responses be claimed whose time has come; `wake` then finds them."""
        while self._store.flows.release_due() == MAX_RELEASED:
            pass

    def wake(self) -> None:
        """Send wake-ups for queued responses without one: lost with the broker, or never sent."""
        for model, num_queued in self._store.reaper.num_queued().items():
            missing = num_queued - self._client.llen(queue_name(model))
            if missing > 0:
                RECORDER.count(REPUBLISHED, amount=missing)
                self._wake_queue.wake(model, missing)

    def refresh_flows(self) -> None:
        """Let projects and end users without queued responses keep up with the others."""
        began = time.monotonic()
        self._store.flows.refresh()
        ended = time.monotonic()
        self._flows_from = max(began + FLOWS_S, ended + FLOWS_FACTOR * (ended - began))

    def _touch_pulse(self) -> None:
        if self._pulse is not None:
            with suppress(OSError):
                self._pulse.touch()

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OUTAGES as error:
            if isinstance(error, UnavailableError):
                self._reclaim_from = time.monotonic() + GRACE_S
            self._outages[step.__name__].failed(error)
        else:
            self._outages[step.__name__].succeeded()


def main(settings: Settings, pulse: Path | None = None) -> None:
    """Run the maintenance loop and the threads beside it until SIGTERM or SIGINT.

    It ends some seconds later, whatever the state of the database.
    """
    configure_logging(settings.log_level)
    stopping = threading.Event()

    def stop(*_: object) -> None:
        if not stopping.is_set():
            stopping.set()
            end_within(_END_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    TRACER.turn_on(settings, "maintenance")
    maintenance = Maintenance(settings, pulse)
    with exit_if_refused():
        maintenance.check_role(stopping)
    deliverer, retention = Deliverer(settings), Retention(settings)
    removal, minutes = ProjectRemoval(settings), MinuteWriter(settings)
    forecasts = ForecastPublisher(settings)
    threads = [
        VitalThread(name, partial(run, stopping), is_daemon=False)
        for name, run in (
            ("webhooks", deliverer.run),
            ("retention", retention.run),
            ("removal", removal.run),
            ("minutes", minutes.run),
            ("forecasts", forecasts.run),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        maintenance.run(stopping)
    finally:
        stopping.set()
    for thread in threads:
        thread.join()
    TRACER.turn_off()
