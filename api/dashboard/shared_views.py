"""Parts of pages that are made once for all tabs that poll them within some seconds."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import TTLCache

SHARED_S = 2.0
"""Seconds for which a part is shared: less than any page waits between two polls, so that no tab is
given what is older than what it shows."""
_MAX_VIEWS = 256

View = TypeVar("View")


class SharedViews(Generic[View]):
    """Parts by what they show; safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._views: TTLCache[Hashable, View] = TTLCache(_MAX_VIEWS, SHARED_S, clock)

    def get(self, key: Hashable, make: Callable[[], View]) -> View:
        """Return the part of a key, made if nobody has lately.

        The key has everything that the part depends on, first of all who may see it.
        """
        with self._lock:
            shared = self._views.get(key)
        if shared is not None:
            return shared
        made = make()
        with self._lock:
            self._views[key] = made
        return made
