"""Thread of each process that publishes what it has counted and what it measures."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

import redis

from models.background_thread import BackgroundThread
from models.metrics.recorder import RECORDER, MetricRecorder, Series
from models.metrics.totals import GaugeValue, MetricTotals
from models.outages import OUTAGES

INTERVAL_S = 2.0
"""Seconds between two publications: what is lost if the process is killed."""


def _no_gauges() -> Iterable[GaugeValue]:
    return ()


class MetricPublisher:
    """Publisher of one process; while Redis is away, counts are kept."""

    def __init__(
        self,
        client: redis.Redis,
        measure: Callable[[], Iterable[GaugeValue]] = _no_gauges,
        *,
        recorder: MetricRecorder = RECORDER,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Create the publisher; `measure` returns the gauges of this process."""
        self._totals = MetricTotals(client)
        self._measure = measure
        self._recorder = recorder
        self._lock = threading.Lock()
        self._number = 1
        self._pending: dict[Series, float] = {}
        """Counts of the publication in progress, which may have arrived already."""
        self._thread = BackgroundThread(
            "metrics",
            self.publish,
            interval_s=interval_s,
            is_immediate=True,
            message="metrics not published",
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and publish what was counted last."""
        self._thread.stop()
        self._measure = _no_gauges
        with suppress(*OUTAGES):
            if self._pending:
                self.publish()
            self.publish()

    def publish(self) -> None:
        """Publish once; raise `redis.RedisError` if Redis is away. Safe from any thread."""
        with self._lock:
            self._pending = self._pending or self._recorder.take()
            self._totals.publish(self._number, self._pending, list(self._measure()))
            self._pending, self._number = {}, self._number + 1
