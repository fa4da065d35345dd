"""The meter of what workers do: speed by place, places, and what projects ask for."""

from dataclasses import replace

import pytest

from models.forecast.flow_state import FlowState, ModelState
from models.forecast.speed_meter import SpeedMeter
from tests.unit.models.forecast.test_forecast import flow


def state(*flows: FlowState, num_workers: int = 1) -> ModelState:
    return ModelState(flows=flows, num_workers=num_workers)


def test_speed_is_the_tokens_of_a_place_in_a_second() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=4, num_queued=9)
    for second in range(0, 60, 2):
        meter.observe(second, state(replace(mine, service=40.0 * second)))

    speed = meter.speed()

    assert speed.tokens_per_place_s == pytest.approx(10)
    assert speed.tokens_per_s == pytest.approx(40)
    assert speed.num_places == 4


def test_tokens_of_a_weight_count_in_full() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=2, weight=4.0)
    for second in (0, 10):
        meter.observe(second, state(replace(mine, service=5.0 * second)))

    assert meter.speed().tokens_per_place_s == pytest.approx(10)


def test_nothing_is_known_before_something_was_served() -> None:
    meter = SpeedMeter()
    assert meter.speed().tokens_per_s is None
    for second in (0, 2, 4):
        meter.observe(second, state(flow("mine", num_queued=3, num_running=1)))

    assert meter.speed().tokens_per_s is None


def test_what_was_measured_is_kept_while_nothing_runs() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=2, service=0.0)
    meter.observe(0, state(mine))
    meter.observe(10, state(replace(mine, service=200.0)))
    for second in range(10, 100_000, 1000):
        meter.observe(second + 1, state(replace(mine, service=200.0, num_running=0)))

    assert meter.speed().tokens_per_place_s == pytest.approx(10, rel=0.2)


def test_a_flow_that_was_deleted_meanwhile_begins_anew() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=1, service=1000.0)
    meter.observe(0, state(mine))
    meter.observe(10, state(replace(mine, service=100.0)))

    assert meter.speed().tokens_per_place_s == pytest.approx(10)


def test_places_follow_what_runs_while_others_wait() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=8, num_queued=5)
    meter.observe(0, state(mine))
    for second in range(2, 40, 2):
        meter.observe(second, state(replace(mine, num_running=3)))
    assert meter.speed().num_places == pytest.approx(3, abs=0.1)

    meter.observe(50, state(replace(mine, num_running=1, num_queued=0)))

    assert meter.speed().num_places == pytest.approx(3, abs=0.1)


def test_places_follow_the_number_of_workers() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=8)
    meter.observe(0, state(mine, num_workers=2))

    meter.observe(2, state(replace(mine, num_running=4), num_workers=1))
    assert meter.speed().num_places == 4
    meter.observe(4, state(replace(mine, num_running=4), num_workers=3))
    assert meter.speed().num_places == 12


def test_demand_is_what_arrives_served_or_not() -> None:
    meter, mine = SpeedMeter(), flow("mine", num_running=1)
    for second in range(0, 1200, 2):
        served = replace(mine, service=10.0 * second, num_queued=second // 10)
        meter.observe(second, state(served))

    # 10 tokens a second are served, and a response of 100 is queued every 10 s.
    assert meter.speed().demand[mine.key] == pytest.approx(20, rel=0.05)
