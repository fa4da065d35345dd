"""Limit on requests without a valid API key, by address."""

import threading
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from cachetools import TTLCache

from models.errors import TooManyFailedAttemptsError

MAX_ATTEMPTS = 60
WINDOW_S = 60.0
_MAX_ADDRESSES = 20_000
_IPV6_PREFIX = 64
"""Bits of an IPv6 address that name one network, within which a client chooses its address."""


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
            counter = self._counters.get(_network(address))
        if counter is not None and counter[0] >= self._max_attempts:
            raise TooManyFailedAttemptsError

    def note(self, address: str) -> None:
        """Count a failed attempt."""
        network = _network(address)
        with self._lock:
            counter = self._counters.get(network)
            if counter is None:
                counter = self._counters[network] = [0]
            counter[0] += 1


def _network(address: str) -> str:
    """Return the address of IPv4, or the network of IPv6, that the attempts are counted for."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed.packed[:8] + bytes(8), _IPV6_PREFIX)))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
