"""Refusals of a flood are answered later, those of others at once."""

import pytest

from api.limits.refusal_pace import INTERVAL_S, LONGEST_S, NUM_AT_ONCE, RefusalPace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> RefusalPace:
    return RefusalPace(clock)


def test_some_are_answered_at_once(pace: RefusalPace) -> None:
    assert [pace.delay_s("a") for _ in range(NUM_AT_ONCE)] == pytest.approx([0.0] * NUM_AT_ONCE)
    assert pace.delay_s("a") == pytest.approx(INTERVAL_S)
    assert pace.delay_s("a") == pytest.approx(2 * INTERVAL_S)
    assert pace.delay_s("b") == 0.0


def test_none_waits_longer_than_the_longest_time(pace: RefusalPace) -> None:
    delays = [pace.delay_s("a") for _ in range(1000)]

    assert max(delays) == pytest.approx(LONGEST_S)
    assert delays == sorted(delays)


def test_one_in_each_interval_waits_for_nothing(pace: RefusalPace, clock: Clock) -> None:
    for _ in range(200):
        assert pace.delay_s("a") == 0.0
        clock.now += INTERVAL_S


def test_a_client_that_has_paused_is_answered_at_once(pace: RefusalPace, clock: Clock) -> None:
    for _ in range(1000):
        pace.delay_s("a")
    clock.now += LONGEST_S + NUM_AT_ONCE * INTERVAL_S

    assert pace.delay_s("a") == 0.0
