"""The time until places are free, where what runs differs from what is queued."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forecast.turnover import seconds_until


def test_it_is_the_work_where_all_are_alike() -> None:
    assert seconds_until(40.0, 10.0, 10.0) == pytest.approx(40)


def test_long_responses_hold_their_places_at_first() -> None:
    # The first of eight places, each of which is taken for another 80 s, is free after 10 s.
    assert seconds_until(10 / 8, 10.0, 80.0) == pytest.approx(8.5, abs=1.5)
    assert seconds_until(1000.0, 10.0, 80.0) == pytest.approx(1070, rel=0.01)


def test_short_responses_free_their_places_soon() -> None:
    assert seconds_until(10.0, 80.0, 10.0) == pytest.approx(10 / 8, rel=0.1)
    assert seconds_until(1000.0, 80.0, 10.0) == pytest.approx(930, rel=0.01)


@pytest.mark.parametrize(("queued_s", "running_s"), [(0.0, 10.0), (10.0, 0.0)])
def test_it_is_the_work_where_a_duration_is_unknown(queued_s: float, running_s: float) -> None:
    assert seconds_until(40.0, queued_s, running_s) == 40


def test_it_is_never_below_zero() -> None:
    assert seconds_until(-5.0, 10.0, 10.0) == 0


_DURATIONS = st.floats(1e-3, 1e6)


@given(_DURATIONS, _DURATIONS, _DURATIONS)
def test_that_much_work_has_been_started_then(
    work_s: float, queued_s: float, running_s: float
) -> None:
    time_s = seconds_until(work_s, queued_s, running_s)

    started_s = time_s + (queued_s - running_s) * (1 - exp(-time_s / running_s))
    rate = max(1.0, queued_s / running_s)  # of work to time, at most
    assert abs(started_s - work_s) <= 1e-3 * rate
