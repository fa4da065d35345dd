"""Collection of all metrics for one answer: totals from Redis, the queue from Postgres."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from models.metrics.exposition import render
from models.metrics.recorder import Series
from models.metrics.table import DEPENDENCY_UP, JOBS, QUEUE_DEPTH, QUEUE_OLDEST, WORKERS
from models.metrics.totals import GaugeValue, MetricTotals, Snapshot
from models.outages import OUTAGES, OutageLog
from models.store.monitoring.queue import Queue, QueueState

logger = logging.getLogger(__name__)

CACHED_S = 2.0
"""Seconds for which the state of the queue is not read again, however many ask."""
_TIERS = ("flex", "default", "priority")
_STATUSES = ("queued", "in_progress")


class MetricsCollector:
    """Collector of one process; safe from any thread."""

    def __init__(
        self,
        totals: MetricTotals,
        queue: Queue,
        models: Collection[str],
        *,
        cached_s: float = CACHED_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the collector; `models` are served here, and have metrics from the start."""
        self._totals = totals
        self._queue = queue
        self._models = models
        self._cached_s = cached_s
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshot = Snapshot()
        self._queue_gauges: list[GaugeValue] = []
        self._is_queue_known = False
        self._read_at = float("-inf")
        self._outages = {
            name: OutageLog(logger, f"metrics without {name}") for name in ("redis", "postgres")
        }

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text of all metrics and its content type.

        While Redis is away, the totals stay as they were; while Postgres is, there are no numbers
        of the queue.
        """
        with self._lock:
            is_redis_up = self._attempt("redis", self._read_totals)
            if self._clock() - self._read_at >= self._cached_s:
                self._is_queue_known = self._attempt("postgres", self._read_queue)
                self._read_at = self._clock()
            gauges = [
                *self._queue_gauges,
                GaugeValue(DEPENDENCY_UP, float(is_redis_up), ("redis",)),
                GaugeValue(DEPENDENCY_UP, float(self._is_queue_known), ("postgres",)),
            ]
            own = {Series(gauge.metric.name, gauge.labels): gauge.value for gauge in gauges}
            published = self._snapshot.gauges if is_redis_up else {}
            return render(Snapshot(self._snapshot.totals, {**published, **own}), accept)

    def published(self) -> Mapping[Series, float]:
        """Return the gauges of all processes that are alive; none while Redis is away."""
        with self._lock:
            is_known = self._attempt("redis", self._read_totals)
            return self._snapshot.gauges if is_known else {}

    def _attempt(self, name: str, read: Callable[[], None]) -> bool:
        try:
            read()
        except OUTAGES as error:
            self._outages[name].failed(error)
            return False
        self._outages[name].succeeded()
        return True

    def _read_totals(self) -> None:
        self._snapshot = self._totals.read()

    def _read_queue(self) -> None:
        self._queue_gauges = []
        states, workers = self._queue.states(), self._queue.num_workers()
        models = sorted({*self._models, *workers, *(state.model for state in states)})
        self._queue_gauges = [
            gauge for model in models for gauge in _gauges(model, states, workers.get(model, 0))
        ]


def _gauges(model: str, states: list[QueueState], num_workers: int) -> Iterator[GaugeValue]:
    """Yield the gauges of one model, also those that are zero."""
    mine = [state for state in states if state.model == model]
    queued = [state for state in mine if state.status == "queued"]
    for status in _STATUSES:
        num = sum(state.num for state in mine if state.status == status)
        yield GaugeValue(JOBS, num, (status, model))
    for tier in _TIERS:
        num = sum(state.num for state in queued if _tier(state.priority) == tier)
        yield GaugeValue(QUEUE_DEPTH, num, (model, tier))
    oldest_s = max((state.oldest_s for state in queued), default=0.0)
    yield GaugeValue(QUEUE_OLDEST, max(0.0, oldest_s), (model,))
    yield GaugeValue(WORKERS, num_workers, (model,))


def _tier(priority: int) -> str:
    """Return the tier of a priority: twice the tier, and one more in the foreground."""
    return _TIERS[max(-1, min(1, priority // 2)) + 1]
