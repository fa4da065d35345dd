"""Pace of deliveries: an average rate for each key, after a burst."""

import time
from collections.abc import Hashable


class Pace:
    """Time from which each key may go on, so that its average stays below a rate."""

    def __init__(self, per_s: float) -> None:
        """Create the pace of `per_s` deliveries per second for each key."""
        self._interval_s = 1 / per_s
        self._next_at: dict[Hashable, float] = {}

    def charge(self, key: Hashable, count: int = 1) -> None:
        """Add deliveries that were started."""
        earliest = max(time.monotonic(), self._next_at.get(key, 0.0))
        self._next_at[key] = earliest + count * self._interval_s

    def paused(self) -> set[Hashable]:
        """Return the keys that must wait; all others are forgotten."""
        now = time.monotonic()
        self._next_at = {key: at for key, at in self._next_at.items() if at > now}
        return set(self._next_at)
