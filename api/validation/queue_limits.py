"""Limits on the number of queued responses: of all projects together, and of each.

Responses in the background and in the foreground have a queue each, so that a full one of jobs
leaves room for clients that wait.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from models.errors import QueueFullError, ServerQueueFullError

QueueKey = tuple[str, bool]
"""Project id, and True for responses in the background."""
REFRESH_S = 1.0
"""Seconds between two counts of the queue."""


class QueueLimiter:
    """Admission of new responses by approximate queue lengths.

    The queue is counted once in `refresh_s` seconds, by one of the requests of that time; what this
    process has created since is added. Other processes' responses appear with the next count, so
    the limits may be exceeded by what all processes create in one interval.
    """

    def __init__(
        self,
        count_queued: Callable[[], Mapping[QueueKey, int]],
        *,
        max_queued: int,
        max_queued_per_project: int,
        refresh_s: float = REFRESH_S,
    ) -> None:
        """Create the limiter; `count_queued` returns the number of queued responses."""
        self._count_queued = count_queued
        self._max_queued = max_queued
        self._max_queued_per_project = max_queued_per_project
        self._refresh_s = refresh_s
        self._refresh_at = 0.0
        self._refreshing = threading.Lock()
        self._changing = threading.Lock()
        self._num_queued: Counter[QueueKey] = Counter()
        self._num_added: Counter[QueueKey] = Counter()
        """Responses created here since the last count began."""

    def check(
        self, project_id: str, *, background: bool, max_of_project: int | None = None
    ) -> None:
        """Raise an error that names the limit if the queue has no room for another response.

        It is a 429 if the project's part of it is full, and a 503 if the whole is.
        `max_of_project` replaces the limit that all projects have.
        """
        self._refresh()
        key = (project_id, background)
        with self._changing:
            num_of_project = self._num_queued[key] + self._num_added[key]
            num_queued = sum(
                num
                for counts in (self._num_queued, self._num_added)
                for (_, is_background), num in counts.items()
                if is_background == background
            )
        if max_of_project is not None and num_of_project >= max_of_project:
            raise QueueFullError(
                f"{num_of_project} responses of this project are queued, and it may have "
                f"{max_of_project}; try again later."
            )
        if max_of_project is None and num_of_project >= self._max_queued_per_project:
            raise QueueFullError(
                f"{num_of_project} responses of this project are queued, and "
                f"ANTIPHON_MAX_QUEUED_PER_PROJECT is {self._max_queued_per_project}; "
                "try again later."
            )
        if num_queued >= self._max_queued:
            raise ServerQueueFullError(
                f"{num_queued} responses are queued, and ANTIPHON_MAX_QUEUED is "
                f"{self._max_queued}; try again later."
            )

    def add(self, project_id: str, *, background: bool) -> None:
        """Count a response that was just created."""
        with self._changing:
            self._num_added[project_id, background] += 1

    def _refresh(self) -> None:
        """Count the queue if the last count is too old; other requests do not wait for it."""
        if time.monotonic() < self._refresh_at or not self._refreshing.acquire(blocking=False):
            return
        try:
            with self._changing:
                num_counted = self._num_added.copy()
            num_queued = Counter(self._count_queued())
            with self._changing:
                self._num_queued = num_queued
                self._num_added -= num_counted
            self._refresh_at = time.monotonic() + self._refresh_s
        finally:
            self._refreshing.release()
