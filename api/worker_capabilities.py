"""What the workers of each model can do, as they publish it with their leases."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from models.engine_capabilities import ALL_CAPABILITIES, EngineCapabilities
from models.outages import OUTAGES, OutageLog

logger = logging.getLogger(__name__)

REFRESH_S = 2.0
"""Seconds between two reads."""


class WorkerCapabilities:
    """Published capabilities, read once in `refresh_s` seconds by one of the requests of that time.

    A worker that can do less than the others is noticed by then. While Postgres is away, what was
    read before holds.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, EngineCapabilities]],
        *,
        refresh_s: float = REFRESH_S,
    ) -> None:
        """Create it; `read` returns what all workers of a model can do, by model."""
        self._read = read
        self._refresh_s = refresh_s
        self._refresh_at: float | None = None
        self._refreshing = threading.Lock()
        self._published: Mapping[str, EngineCapabilities] = {}
        self._outages = OutageLog(logger, "capabilities of workers not read")

    def of_model(self, model_id: str) -> EngineCapabilities:
        """Return what every worker of a model can do; all, where none has published anything."""
        self._refresh()
        return self._published.get(model_id, ALL_CAPABILITIES)

    def _refresh(self) -> None:
        """Read if it is time to; only the first requests of a process wait for another's read."""
        if not self._is_due() or not self._refreshing.acquire(blocking=self._refresh_at is None):
            return
        try:
            if self._is_due():
                self._published = self._read()
                self._outages.succeeded()
        except OUTAGES as error:
            self._outages.failed(error)
        finally:
            self._refresh_at = time.monotonic() + self._refresh_s
            self._refreshing.release()

    def _is_due(self) -> bool:
        return self._refresh_at is None or time.monotonic() >= self._refresh_at
