"""Pace of refusals: of a client that goes on asking, they are answered ever later, up to a second.

A refusal costs a process about as much as the head of a request. Programs that heed no
`Retry-After` send the next request as soon as they have been refused, and would take the processor
from others.
"""

import time
from collections.abc import Callable

from cachetools import LRUCache

INTERVAL_S = 0.02
NUM_AT_ONCE = 20
LONGEST_S = 1.0
_MAX_CLIENTS = 10_000


class RefusalPace:
    """Times at which each client's refusals are answered; used by one thread.

    Generic cell rate algorithm (ITU-T I.371): `NUM_AT_ONCE` at once, then one each `INTERVAL_S`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: LRUCache[str, float] = LRUCache(_MAX_CLIENTS)
        """Time at which the next refusal of a client would be answered, had it none at once."""

    def delay_s(self, client: str) -> float:
        """Return the seconds after which to answer a refusal of this client."""
        now = self._clock()
        latest = now + NUM_AT_ONCE * INTERVAL_S + LONGEST_S
        due = min(max(self._due.get(client, 0.0), now) + INTERVAL_S, latest)
        self._due[client] = due
        return max(0.0, due - now - NUM_AT_ONCE * INTERVAL_S)
