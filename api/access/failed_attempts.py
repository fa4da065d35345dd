"""Limit on requests without a valid API key, by address."""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

from api.http.forwarded import client_network
from models.errors import TooManyFailedAttemptsError

MAX_ATTEMPTS = 60
WINDOW_S = 60.0
_MAX_ADDRESSES = 20_000


class FailedAttempts:
    """Counters of failed attempts, in windows that begin with the first one of an address."""

    def __init__(
        self,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_attempts = max_attempts
        self._lock = threading.Lock()
        self._counters: TTLCache[str, list[int]] = TTLCache(_MAX_ADDRESSES, window_s, timer=clock)

    def check(self, address: str) -> None:
        """Raise a 429 if an address has as many failed attempts as it may."""
        with self._lock:
            counter = self._counters.get(client_network(address))
        if counter is not None and counter[0] >= self._max_attempts:
            raise TooManyFailedAttemptsError

    def note(self, address: str) -> None:
        """Count a failed attempt."""
        network = client_network(address)
        with self._lock:
            counter = self._counters.get(network)
            if counter is None:
                counter = self._counters[network] = [0]
            counter[0] += 1
