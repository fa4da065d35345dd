"""Counts of this process, which a publisher adds to those of all others.

One recorder per process, as there is one log: what counts need not be handed what it counts with.
"""

import threading
from bisect import bisect_left
from dataclasses import dataclass

from models.metrics.metric import Metric

SUM = "sum"
INFINITY = "+Inf"


@dataclass(frozen=True, slots=True)
class Series:
    """One number of a metric: of a counter all of it, of a histogram a bucket or the sum."""

    name: str
    labels: tuple[str, ...]
    part: str = ""
    """Upper bound of a bucket, or `SUM`; empty for a counter."""


class MetricRecorder:
    """Counts since they were last taken; safe from any thread, and cheap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self._buckets: dict[tuple[Metric, tuple[str, ...]], list[float]] = {}
        """Number of values in each bucket of a histogram, then their sum."""

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Add to a counter; `labels` are the values of the metric's labels, in order."""
        key = (metric, labels)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def observe(self, metric: Metric, value: float, *labels: str, times: float = 1) -> None:
        """Add a value to a histogram, as often as it occurred."""
        key, position = (metric, labels), bisect_left(metric.buckets, value)
        with self._lock:
            buckets = self._buckets.get(key)
            if buckets is None:
                buckets = self._buckets[key] = [0.0] * (len(metric.buckets) + 2)
            buckets[position] += times
            buckets[-1] += value * times

    def take(self) -> dict[Series, float]:
        """Return what was counted since the last call."""
        with self._lock:
            counts, self._counts = self._counts, {}
            buckets, self._buckets = self._buckets, {}
        taken = {Series(metric.name, labels): n for (metric, labels), n in counts.items()}
        for (metric, labels), numbers in buckets.items():
            parts = [*map(bound_text, metric.buckets), INFINITY, SUM]
            pairs = zip(parts, numbers, strict=True)
            taken |= {Series(metric.name, labels, part): number for part, number in pairs if number}
        return taken


def bound_text(bound: float) -> str:
    """Return the upper bound of a bucket as its label has it."""
    return str(float(bound))


RECORDER = MetricRecorder()
"""Recorder of this process."""
