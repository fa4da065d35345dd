"""Readings of metrics, which maintenance writes once a minute for the graphs of the dashboard.

It has a thread of its own: nothing of it may delay the maintenance loop.
"""

import logging
import threading
from collections import Counter

from models.metrics.readings import take_readings
from models.metrics.totals import MetricTotals
from models.outages import OutageLog
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from worker.maintenance.repetition import repeat

logger = logging.getLogger(__name__)


class MinuteWriter:
    """Loop that writes readings; of any number of processes, one writes each minute.

    A minute in which none could read both Redis and Postgres stays without a reading.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the connections."""
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=1,
        )
        self._client = connect(settings.redis_url, max_connections=1)
        self._totals = MetricTotals(self._client)
        self._outages = OutageLog(logger, "metrics of a minute not written")

    def run(self, stopping: threading.Event) -> None:
        """Write every minute until `stopping` is set."""
        repeat(self.write, stopping, self._outages)

    def close(self) -> None:
        """Close every connection."""
        self._store.close()
        self._client.close()

    def write(self) -> float:
        """Write this minute, unless that is done; return the seconds until the next one begins."""
        snapshot = self._totals.read()
        queued: Counter[str] = Counter()
        for state in self._store.queue.states():
            queued[state.model] += state.num if state.status == "queued" else 0
        return self._store.minutes.write(take_readings(snapshot, queued))
