"""Readings of metrics, which maintenance writes once a minute for the graphs of the dashboard."""

import time

import redis

from models.metrics.readings import take_readings
from models.metrics.totals import MetricTotals
from models.store.store import Store


class MinuteWriter:
    """Writer of readings; of any number of processes, one writes each minute.

    A minute in which none could read both Redis and Postgres stays without a reading.
    """

    def __init__(self, store: Store, client: redis.Redis) -> None:
        self._store = store
        self._totals = MetricTotals(client)
        self._next_at = 0.0
        """Time by the monotonic clock at which the next minute begins."""

    def is_due(self) -> bool:
        """Return True if a minute has begun since the last reading."""
        return time.monotonic() >= self._next_at

    def write_minute(self) -> None:
        """Take the readings and write them; raises as the store and Redis do."""
        snapshot = self._totals.read()
        queued: dict[str, int] = {}
        for state in self._store.queue.states():
            if state.status == "queued":
                queued[state.model] = queued.get(state.model, 0) + state.num
        seconds = self._store.minutes.write(take_readings(snapshot, queued))
        self._next_at = time.monotonic() + seconds
