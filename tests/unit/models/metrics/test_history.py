"""Figures of a day: right values from readings, and none where there is no reading."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from models.metrics.history import Figures, figures_of, quantile
from models.metrics.readings import MinuteReading, take_readings
from models.metrics.recorder import INFINITY, SUM, Series
from models.metrics.table import JOB_SECONDS, LAST_TOKEN_AGE, QUEUE_WAIT, TOKENS, TTFT
from models.metrics.totals import Snapshot

_FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
_STEP = timedelta(minutes=1)


def reading(
    step: int, totals: Mapping[str, float], *, model: str = "m", late_s: float = 0, queued: int = 0
) -> MinuteReading:
    minute = _FIRST + step * _STEP
    taken_at = minute + timedelta(seconds=late_s)
    return MinuteReading(
        minute=minute, model=model, taken_at=taken_at, totals=totals, max_queued=queued
    )


def figures(*rows: MinuteReading, num: int = 1) -> list[Figures]:
    return figures_of(rows, _FIRST, num, _STEP)


def test_a_step_has_what_was_counted_between_its_readings() -> None:
    before = {"output": 100.0, "ended": 5, "failed": 1, "wait 1.0": 3}
    after = {"output": 700.0, "ended": 9, "failed": 3, "wait 1.0": 5, "ttft 2.0": 4}

    [found] = figures(reading(0, before, queued=7), reading(1, after, queued=99))

    assert found == Figures(
        at=_FIRST,
        is_known=True,
        queued=7,
        wait=(0.5, 0.95),
        first_token=(1.0, 1.9),
        tokens_per_s=10,
        ended=4,
        failed=2,
    )


def test_models_are_added_up() -> None:
    rows = [
        reading(step, {"output": 60.0 * step, "wait 1.0": step}, model=model, queued=2)
        for step in range(2)
        for model in ("one", "other")
    ]

    [found] = figures(*rows)

    assert (found.queued, found.tokens_per_s, found.wait) == (4, 2, (0.5, 0.95))


def test_a_rate_is_by_the_times_of_the_readings() -> None:
    [found] = figures(reading(0, {"output": 0}, late_s=30), reading(1, {"output": 90}))

    assert found.tokens_per_s == 3


def test_a_missing_reading_leaves_a_gap_on_both_sides_and_no_zeros() -> None:
    rows = [reading(step, {"output": 60.0 * step}) for step in (0, 1, 3, 4)]

    found = figures(*rows, num=4)

    assert [each.is_known for each in found] == [True, False, False, True]
    assert [each.tokens_per_s for each in found] == [1, None, None, 1]
    assert found[1] == Figures(at=_FIRST + _STEP)


def test_a_model_that_appears_later_makes_no_gap_of_the_others() -> None:
    rows = [
        reading(0, {"output": 0}), reading(1, {"output": 60}),
        reading(1, {"output": 6000}, model="new", queued=3),
    ]  # fmt: skip

    [found] = figures(*rows)

    assert (found.tokens_per_s, found.queued) == (1, 0)


def test_totals_that_began_again_at_zero_are_taken_whole() -> None:
    before, after = {"output": 500.0, "failed": 9}, {"output": 60.0}

    [found] = figures(reading(0, before), reading(1, after))

    assert (found.tokens_per_s, found.failed) == (1, 0)


@pytest.mark.parametrize(
    ("buckets", "median", "p95"),
    [
        ({"1.0": 10}, 0.5, 0.95),
        ({"1.0": 5, "3.0": 5}, 1.0, 2.8),
        ({"0.5": 0, "1.0": 8, INFINITY: 2}, 0.8125, 1.0),
        ({INFINITY: 2}, 0.0, 0.0),
        ({"10.0": 1, "2.0": 1}, 2.0, 9.2),
    ],
)
def test_quantiles_are_interpolated(buckets: dict[str, float], median: float, p95: float) -> None:
    assert quantile(buckets, 0.5) == pytest.approx(median)
    assert quantile(buckets, 0.95) == pytest.approx(p95)


def test_nothing_measured_has_no_quantiles() -> None:
    assert quantile({"1.0": 0, "2.0": 0}, 0.5) is None
    [found] = figures(reading(0, {"wait 1.0": 3}), reading(1, {"wait 1.0": 3}))
    assert found.wait is None
    assert found.is_known


def test_a_reading_has_the_totals_of_each_model() -> None:
    totals = {
        Series(QUEUE_WAIT.name, ("m",), "0.5"): 2.0,
        Series(QUEUE_WAIT.name, ("m",), SUM): 0.7,
        Series(TTFT.name, ("m",), INFINITY): 1.0,
        Series(TOKENS.name, ("output", "m")): 12.0,
        Series(TOKENS.name, ("input", "m")): 99.0,
        Series(JOB_SECONDS.name, ("completed", "m"), "1.0"): 4.0,
        Series(JOB_SECONDS.name, ("failed", "m"), "1.0"): 1.0,
        Series(JOB_SECONDS.name, ("failed", "m"), "5.0"): 2.0,
        Series(JOB_SECONDS.name, ("failed", "m"), SUM): 8.0,
        Series(TOKENS.name, ("of", "another", "version")): 5.0,
    }
    gauges = {Series(LAST_TOKEN_AGE.name, ("idle", "host", "w1")): 0.0}

    found = take_readings(Snapshot(totals, gauges), {"m": 3, "waits": 1})

    assert [(each.model, each.num_queued) for each in found] == [
        ("idle", 0), ("m", 3), ("waits", 1)
    ]  # fmt: skip
    assert found[1].totals == {
        "wait 0.5": 2, "ttft +Inf": 1, "output": 12, "ended": 7, "failed": 3
    }  # fmt: skip
