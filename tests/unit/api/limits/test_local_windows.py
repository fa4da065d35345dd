"""Windows of one process, while Redis is away."""

import pytest

from api.limits.local_windows import LocalWindows
from models.access.projects import ProjectLimits
from models.limits.amounts import Decision, Demand
from models.limits.windows import StoredRoom

_LIMITS = ProjectLimits(requests_per_minute=10, output_tokens_per_minute=1000)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def windows(clock: Clock) -> LocalWindows:
    return LocalWindows(lambda: 2, clock=clock)


_ONE = Demand()


def reserve(windows: LocalWindows, demand: Demand = _ONE) -> Decision:
    return windows.reserve("p", _LIMITS, demand, None)


def test_a_process_may_use_its_share_within_a_minute(windows: LocalWindows, clock: Clock) -> None:
    granted = [reserve(windows).refused_by is None for _ in range(7)]
    assert granted == [True] * 5 + [False] * 2

    clock.now += 60
    refused = reserve(windows)
    clock.now += refused.wait_ms / 1000

    assert 0 < refused.wait_ms <= 500
    assert reserve(windows).refused_by is None


def test_what_redis_has_granted_counts(windows: LocalWindows) -> None:
    windows.note("p", Demand(requests=4), 400)

    assert reserve(windows, Demand(output_tokens=200)).refused_by == "output_tokens"
    assert reserve(windows).refused_by is None
    assert reserve(windows).refused_by == "requests"


def test_a_guess_keeps_no_request_out_for_ever(windows: LocalWindows) -> None:
    decision = reserve(windows, Demand(num_open_choices=9))

    assert (decision.refused_by, decision.output_tokens) == (None, 500)


def test_use_is_that_of_all_processes(windows: LocalWindows) -> None:
    assert reserve(windows).usage["requests"].used == 2


def test_what_is_stored_may_take_a_share_of_the_room(windows: LocalWindows) -> None:
    def refused_by(num_bytes: int) -> str | None:
        demand = Demand(stored_bytes=num_bytes)
        return windows.reserve("p", ProjectLimits(), demand, StoredRoom(100, 1)).refused_by

    assert (refused_by(51), refused_by(50)) == ("stored_bytes", None)
