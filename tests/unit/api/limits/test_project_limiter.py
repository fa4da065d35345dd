"""Admission by limits per minute, with and without Redis."""

from datetime import UTC, datetime

import pytest
import redis

from api.limits.project_limiter import BACKOFF_S, ProjectLimiter
from models.access.projects import ProjectLimits, ProjectRecord
from models.errors import RateLimitExceededError
from models.limits.amounts import Decision, Demand, Reservation, Usage
from models.limits.windows import StoredRoom, Windows


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeWindows(Windows):
    """Counters that answer as a test says, or not at all."""

    def __init__(self) -> None:
        self.refused_by: str | None = None
        self.is_away = False
        self.num_asked = 0

    def reserve(
        self,
        project_id: str,
        limits: ProjectLimits,
        demand: Demand,
        room: StoredRoom | None = None,
    ) -> Decision:
        self.num_asked += 1
        if self.is_away:
            raise redis.ConnectionError
        return Decision(
            refused_by=self.refused_by,
            wait_ms=20_000,
            slot=7,
            output_tokens=3,
            usage={"requests": Usage(4, 30_000)},
        )

    def cancel(self, project_id: str, reservation: Reservation) -> None:
        raise redis.ConnectionError


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def windows() -> FakeWindows:
    return FakeWindows()


@pytest.fixture
def limiter(windows: FakeWindows, clock: Clock) -> ProjectLimiter:
    return ProjectLimiter(windows, lambda: 2, clock=clock)


def project(**limits: int) -> ProjectRecord:
    return ProjectRecord(
        project_id="p", name="", limits=ProjectLimits(**limits), created_at=datetime.now(UTC)
    )


def test_a_project_without_limits_asks_nobody(
    limiter: ProjectLimiter, windows: FakeWindows
) -> None:
    assert limiter.admit(project(max_streams=3), Demand()) is None
    assert (windows.num_asked, limiter.headers(project())) == (0, {})


def test_used_up_requests_are_remembered(
    limiter: ProjectLimiter, windows: FakeWindows, clock: Clock
) -> None:
    limited = project(requests_per_minute=4)
    windows.refused_by = "requests"
    with pytest.raises(RateLimitExceededError):
        limiter.admit(limited, Demand())

    clock.now += 15
    with pytest.raises(RateLimitExceededError) as refused:
        limiter.admit(limited, Demand())

    assert windows.num_asked == 1
    assert refused.value.headers["retry-after-ms"] == "5000"
    assert refused.value.headers["x-ratelimit-reset-requests"] == "15s"
    clock.now += 5
    windows.refused_by = None
    assert limiter.admit(limited, Demand()) is not None


def test_used_up_tokens_are_not_as_less_may_fit(
    limiter: ProjectLimiter, windows: FakeWindows
) -> None:
    limited = project(requests_per_minute=4, output_tokens_per_minute=9)
    windows.refused_by = "output_tokens"
    for _ in range(2):
        with pytest.raises(RateLimitExceededError):
            limiter.admit(limited, Demand(output_tokens=5))

    limiter.check(limited)
    assert windows.num_asked == 2


def test_a_limit_that_is_lifted_holds_no_longer(
    limiter: ProjectLimiter, windows: FakeWindows
) -> None:
    windows.refused_by = "requests"
    with pytest.raises(RateLimitExceededError):
        limiter.admit(project(requests_per_minute=4), Demand())

    limiter.check(project())


def test_headers_grow_old(limiter: ProjectLimiter, clock: Clock) -> None:
    limited = project(requests_per_minute=10)
    limiter.admit(limited, Demand())

    clock.now += 10
    later = limiter.headers(limited)
    clock.now += 20
    last = limiter.headers(limited)

    assert (later["x-ratelimit-remaining-requests"], later["x-ratelimit-reset-requests"]) == (
        "6",
        "20s",
    )
    assert (last["x-ratelimit-remaining-requests"], last["x-ratelimit-reset-requests"]) == (
        "10",
        "0ms",
    )


def test_while_redis_is_away_it_is_rarely_asked_and_the_share_holds(
    limiter: ProjectLimiter, windows: FakeWindows, clock: Clock
) -> None:
    limited = project(requests_per_minute=6)
    limiter.admit(limited, Demand())
    windows.is_away = True

    for _ in range(2):
        limiter.admit(limited, Demand())
    with pytest.raises(RateLimitExceededError):
        limiter.admit(limited, Demand())

    assert windows.num_asked == 2
    clock.now += 60.5 + BACKOFF_S
    windows.is_away = False
    limiter.admit(limited, Demand())
    assert windows.num_asked == 3


def test_what_cannot_be_taken_back_is_no_error(limiter: ProjectLimiter) -> None:
    limited = project(requests_per_minute=6)

    limiter.cancel(limited, limiter.admit(limited, Demand()))


def test_a_size_that_is_never_free_is_no_matter_of_waiting(
    limiter: ProjectLimiter, windows: FakeWindows
) -> None:
    windows.refused_by = "stored_bytes"

    with pytest.raises(Exception, match="may store 5 bytes") as refused:
        limiter.admit(project(max_stored_bytes=5), Demand(stored_bytes=6))

    assert getattr(refused.value, "code", None) == "insufficient_quota"
