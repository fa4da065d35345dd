"""Open streams of projects in all processes of the API, about.

Each process knows its own exactly, and each second those of the others. While Redis is away, it
lets a project have its share of the limit.
"""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

from models.background_thread import BackgroundThread
from models.limits.exchange import HOLDS_S, Exchange, Others

INTERVAL_S = 1.0
_MAX_PROJECTS = 10_000
_ASKED_S = 600.0
"""Seconds after its last stream for which a project is still asked for."""
_PROCESSES = ""
"""Name under which each process tells that there is one of it; no project has it."""


class SharedStreams:
    """Limits on the streams of projects; a thread exchanges their numbers with other processes."""

    def __init__(
        self,
        exchange: Exchange,
        limit_of: Callable[[str], int | None],
        num_here: Callable[[str], int],
        is_needed: Callable[[], bool],
        *,
        num_processes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the limits.

        `limit_of` returns that of a project, without waiting, and `num_here` the number of its
        streams in this process. While nothing `is_needed`, nothing is exchanged. `num_processes` is
        the number of all until they are counted.
        """
        self._exchange = exchange
        self._limit_of = limit_of
        self._num_here = num_here
        self._is_needed = is_needed
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: TTLCache[str, None] = TTLCache(_MAX_PROJECTS, _ASKED_S, timer=clock)
        self._others: dict[str, Others] = {}
        self._told_at = float("-inf")
        self.num_processes = num_processes
        """Number of processes, this one included."""
        self._thread = BackgroundThread(
            "shared_streams",
            self.exchange,
            interval_s=INTERVAL_S,
            is_immediate=True,
            message="streams counted by this process alone",
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._thread.stop()

    def exceeded_limit(self, project_id: str, num_here: int) -> int | None:
        """Return the limit of a project if it has no room beside `num_here` streams, else None."""
        limit = self._limit_of(project_id)
        if limit is None:
            return None
        with self._lock:
            self._asked[project_id] = None
        if self._clock() - self._told_at < HOLDS_S:
            num_elsewhere = self._others.get(project_id, Others()).total
            return limit if num_here + num_elsewhere >= limit else None
        share = max(1, limit // self.num_processes)
        return limit if num_here >= share else None

    def exchange(self) -> None:
        """Tell the other processes the numbers of this one, and take theirs."""
        if not self._is_needed():
            return
        with self._lock:
            asked = list(self._asked)
        numbers = {project_id: self._num_here(project_id) for project_id in asked}
        others = self._exchange.tell({_PROCESSES: 1, **numbers})
        self.num_processes = 1 + others.pop(_PROCESSES).num_processes
        self._others, self._told_at = others, self._clock()
