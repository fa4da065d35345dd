"""Forecasts of the queue, made from its state every few seconds and published for the API.

They have a thread of their own: nothing of it may delay the maintenance loop.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from models.forecast.forecast import forecast
from models.forecast.published import LEAST_TTL_S, PublishedForecasts
from models.forecast.speed_meter import SpeedMeter
from models.outages import OutageLog
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from worker.maintenance.repetition import repeat

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0
"""Least time in seconds between two forecasts."""
INTERVAL_FACTOR = 10.0
"""The same in durations of the last one, so that a long queue is not read all the time."""


class ForecastPublisher:
    """Loop that measures what workers do, and publishes a forecast of each model's queue."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the connections."""
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=1,
        )
        self._client = connect(settings.redis_url, max_connections=1)
        self._published = PublishedForecasts(self._client)
        self._clock = clock
        self._meters: defaultdict[str, SpeedMeter] = defaultdict(SpeedMeter)
        self.outages = OutageLog(logger, "queue not forecast")

    def run(self, stopping: threading.Event) -> None:
        """Publish forecasts until `stopping` is set."""
        repeat(self.publish, stopping, self.outages)

    def close(self) -> None:
        """Close every connection."""
        self._store.close()
        self._client.close()

    def publish(self) -> float:
        """Measure, and publish the forecast of each model; return the seconds until the next."""
        began, at = time.monotonic(), self._clock()
        states = self._store.forecasts.of_models()
        interval_s = max(INTERVAL_S, INTERVAL_FACTOR * (time.monotonic() - began))
        for model, state in states.items():
            meter = self._meters[model]
            meter.observe(at, state)
            made = forecast(state, meter.speed())
            self._published.publish(model, made, ttl_s=max(LEAST_TTL_S, 3 * interval_s))
        return interval_s
