"""Flows that a process has entered a moment ago, so that its next statements need not look at them.

A flow is kept for `models.store.fairness.flows.KEPT_S` after it was seen, so that what a process
remembers for `FRESH_S` is there. If it is not all the same, because a statement waited for long,
refreshes of the maintenance process add it within a second.
"""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

from models.responses.record import ResponseRecord
from models.store.fairness.charges import FRESH_S

_MAX_FLOWS = 4096
_Flow = tuple[str, bool, str, int | None]


class RecentFlows:
    """Flows of the responses that this process has created; safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._entered: TTLCache[_Flow, None] = TTLCache(_MAX_FLOWS, FRESH_S, timer=clock)
        self._lock = threading.Lock()

    def has(self, new: ResponseRecord) -> bool:
        """Return True if the flows of a new response were entered less than `FRESH_S` ago."""
        with self._lock:
            return _flow_of(new) in self._entered

    def add(self, new: ResponseRecord) -> None:
        """Remember the flows of a response whose statement has entered them."""
        with self._lock:
            self._entered[_flow_of(new)] = None


def _flow_of(new: ResponseRecord) -> _Flow:
    return new.model, new.priority < 0, new.project_id, new.end_user
