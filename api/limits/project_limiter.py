"""Limits per minute of projects, at the door.

Redis counts for all processes; while it is away, each process keeps to its share. What a project
has left, and that it has used up its requests, is remembered here: the answers to other requests
say so, and those of a flood are refused without a question to Redis.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from cachetools import LRUCache

from api.limits.headers import rate_headers
from api.limits.local_windows import LocalWindows
from models.access.projects import ProjectLimits, ProjectRecord
from models.errors import AppError, InsufficientQuotaError, RateLimitExceededError
from models.limits.amounts import Decision, Demand, Reservation, Usage, has_rates, rates_of
from models.limits.windows import StoredRoom, Windows
from models.outages import OutageLog

logger = logging.getLogger(__name__)

BACKOFF_S = 1.0
"""Seconds without a question to Redis after one that failed."""
LONGEST_WAIT_MS = 60_000
"""Longest wait that is announced: the official clients heed no longer one."""
_MAX_PROJECTS = 10_000
_UNITS = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """State of a project's counters at a time, in milliseconds of the process's clock."""

    usage: dict[str, Usage]
    at_ms: int
    refused_until_ms: int = 0
    """Time until which no request is let in, whatever its tokens."""


class ProjectLimiter:
    """Admission of requests by what their projects may do in a minute; safe from any thread."""

    def __init__(
        self,
        windows: Windows,
        num_processes: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the limiter; `num_processes` returns the number of processes of the API."""
        self._windows = windows
        self._local = LocalWindows(num_processes, clock=clock)
        self._clock = clock
        self._away_until = 0.0
        self._outage_log = OutageLog(logger, "limits counted by this process alone")
        self._lock = threading.Lock()
        self._seen: LRUCache[str, _Seen] = LRUCache(_MAX_PROJECTS)

    @staticmethod
    def is_counted(project: ProjectRecord) -> bool:
        """Return True if requests of the project are counted."""
        return has_rates(project.limits) or project.limits.max_stored_bytes is not None

    def admit(self, project: ProjectRecord, demand: Demand) -> Reservation | None:
        """Count a request; raise a 429 if its project has no room for it.

        Returns what was reserved; None, at no cost, for a project without such limits.
        """
        if not self.is_counted(project):
            return None
        limits, room = project.limits, StoredRoom.of(project)
        self.check(project)
        _check_alone(limits, demand)
        decision = self._decide(project.project_id, limits, demand, room)
        self._remember(project.project_id, decision)
        if decision.refused_by is not None:
            raise self._refusal(project, decision)
        return _reservation(limits, demand, decision)

    def cancel(self, project: ProjectRecord, reservation: Reservation | None) -> None:
        """Take back what was counted for a request which came to nothing."""
        if reservation is None:
            return
        try:
            self._windows.cancel(project.project_id, reservation)
        except redis.RedisError as error:
            logger.info("not taken back", extra={"error": str(error)})

    def check(self, project: ProjectRecord) -> None:
        """Raise a 429 if the project has used up its requests, as far as this process knows."""
        if project.limits.requests_per_minute is None:
            return
        seen = self._find(project.project_id)
        if seen is None:
            return
        wait_ms = seen.refused_until_ms - self._now_ms()
        if wait_ms > 0:
            raise self._rate_error(project, "requests", wait_ms)

    def headers(self, project: ProjectRecord) -> dict[str, str]:
        """Return the headers about a project's limits, as this process last knew its use."""
        if not has_rates(project.limits):
            return {}
        seen = self._find(project.project_id)
        return rate_headers(project.limits, {} if seen is None else self._aged(seen))

    def _decide(
        self, project_id: str, limits: ProjectLimits, demand: Demand, room: StoredRoom | None
    ) -> Decision:
        if self._clock() >= self._away_until:
            try:
                decision = self._windows.reserve(project_id, limits, demand, room)
            except redis.RedisError as error:
                self._away_until = self._clock() + BACKOFF_S
                self._outage_log.failed(error)
            else:
                self._outage_log.succeeded()
                if decision.refused_by is None:
                    self._local.note(project_id, demand, decision.output_tokens)
                return decision
        return self._local.reserve(project_id, limits, demand, room)

    def _remember(self, project_id: str, decision: Decision) -> None:
        now_ms = self._now_ms()
        is_flood = decision.refused_by == "requests"
        until_ms = now_ms + decision.wait_ms if is_flood else 0
        with self._lock:
            self._seen[project_id] = _Seen(decision.usage, now_ms, until_ms)

    def _find(self, project_id: str) -> _Seen | None:
        with self._lock:
            return self._seen.get(project_id)

    def _refusal(self, project: ProjectRecord, decision: Decision) -> AppError:
        if decision.refused_by == "stored_bytes":
            return stored_bytes_error(project.limits)
        assert decision.refused_by is not None
        return self._rate_error(project, decision.refused_by, decision.wait_ms)

    def _rate_error(self, project: ProjectRecord, name: str, wait_ms: int) -> AppError:
        return RateLimitExceededError(
            f"The project may use {rates_of(project.limits)[name]} {_UNITS[name]} per minute.",
            wait_ms=min(wait_ms, LONGEST_WAIT_MS),
            headers=self.headers(project),
        )

    def _aged(self, seen: _Seen) -> dict[str, Usage]:
        """Return a use as it is now, if nothing was added to it."""
        passed_ms = self._now_ms() - seen.at_ms
        return {
            name: Usage(usage.used, usage.reset_ms - passed_ms)
            for name, usage in seen.usage.items()
            if usage.reset_ms > passed_ms
        }

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _reservation(limits: ProjectLimits, demand: Demand, decision: Decision) -> Reservation:
    asked = {
        "requests": demand.requests,
        "input_tokens": demand.input_tokens,
        "output_tokens": decision.output_tokens,
    }
    limited = {name: asked[name] for name, limit in rates_of(limits).items() if limit is not None}
    return Reservation(slot=decision.slot, num_choices=demand.num_choices, **limited)


def _check_alone(limits: ProjectLimits, demand: Demand) -> None:
    """Raise if a request alone exceeds a limit: no waiting helps."""
    for name, limit in rates_of(limits).items():
        asked = getattr(demand, name)
        if limit is not None and asked > limit:
            raise InsufficientQuotaError(
                f"This request needs {asked} {_UNITS[name]}, and the project may use {limit} "
                "per minute.",
                param="max_output_tokens" if name == "output_tokens" else "input",
            )


def stored_bytes_error(limits: ProjectLimits) -> InsufficientQuotaError:
    """Return the error of a project that stores as much as it may."""
    return InsufficientQuotaError(
        f"The project may store {limits.max_stored_bytes} bytes, and has about as many; delete "
        "some of its responses or conversations."
    )
