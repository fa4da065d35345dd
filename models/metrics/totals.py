"""Totals of all processes on all hosts, and what each measures now, in Redis.

Each process adds what it has counted, so a total outlives its processes and never decreases. If
Redis is emptied, counters begin again at zero, as Prometheus expects of them.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import redis

from models.metrics.metric import Metric
from models.metrics.recorder import Series

HOLDS_S = 10
"""Seconds after which the gauges of a process that says nothing more are left out."""
_FORGOTTEN_S = 3600
"""Seconds after which such a process is forgotten; until then a publication may be repeated."""
_TOTALS = "antiphon:{metrics}:totals"
_PROCESSES = "antiphon:{metrics}:processes"
_PUBLISH = Path(__file__).with_name("publish.lua").read_text()
_READ = Path(__file__).with_name("read.lua").read_text()


@dataclass(frozen=True, slots=True)
class GaugeValue:
    """Value of a gauge, measured by one process or in the database."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals and gauges at one time."""

    totals: Mapping[Series, float] = field(default_factory=dict)
    gauges: Mapping[Series, float] = field(default_factory=dict)
    """Sums over the processes that measure the same."""


class MetricTotals:
    """Totals of one process; every call may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis) -> None:
        self._process = uuid.uuid4().hex
        self._publish = client.register_script(_PUBLISH)
        self._read = client.register_script(_READ)

    def publish(
        self, number: int, counts: Mapping[Series, float], gauges: Sequence[GaugeValue]
    ) -> None:
        """Add counts to the totals, and replace the gauges of this process.

        Counts that were added under this number before are not added again.
        """
        values = [[gauge.metric.name, gauge.labels, gauge.value] for gauge in gauges]
        amounts = [item for series, n in counts.items() for item in (_to_field(series), repr(n))]
        arguments = [self._process, number, HOLDS_S, orjson.dumps(values), *amounts]
        self._publish(keys=[_TOTALS, _PROCESSES], args=arguments)

    def read(self) -> Snapshot:
        """Return the totals of all processes, and the gauges of those that are alive."""
        reply: Any = self._read(keys=[_TOTALS, _PROCESSES], args=[_FORGOTTEN_S])
        flat, published = reply
        totals = {_to_series(name): float(n) for name, n in zip(flat[::2], flat[1::2], strict=True)}
        gauges: dict[Series, float] = {}
        for text in published:
            for name, labels, value in orjson.loads(text):
                series = Series(name, tuple(labels))
                gauges[series] = gauges.get(series, 0.0) + value
        return Snapshot(totals, gauges)


def _to_field(series: Series) -> bytes:
    return orjson.dumps([series.name, series.labels, series.part])


def _to_series(name: bytes) -> Series:
    metric, labels, part = orjson.loads(name)
    return Series(metric, tuple(labels), part)
