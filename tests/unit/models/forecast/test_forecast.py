"""Forecasts: the place of a response follows from weights, limits, tiers and measured speed."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from models.forecast.flow_state import FlowState, ModelState
from models.forecast.forecast import QueuePlace, forecast
from models.forecast.own_queue import OwnGroup, OwnQueue
from models.forecast.speed_meter import Speed

SPEED = Speed(tokens_per_place_s=10.0, num_places=4.0)
"""A response of 100 tokens takes 10 s; of four places one becomes free every 2.5 s."""


def flow(project_id: str, **changes: object) -> FlowState:
    """Return a flow of responses of 100 tokens."""
    state = FlowState(
        project_id=project_id,
        is_flex=False,
        virtual_time=0.0,
        service=0.0,
        estimate=100.0,
        weight=1.0,
        max_running=None,
        num_queued=0,
        num_running=0,
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def running(num: int = 4) -> FlowState:
    """Return the flow of a project that has nothing queued, and runs so many."""
    return flow("running", virtual_time=-1e6, num_running=num)


def place(
    flows: Sequence[FlowState],
    num_ahead: int,
    *,
    project_id: str = "mine",
    priority: int = 0,
    speed: Speed = SPEED,
    num_workers: int = 1,
) -> QueuePlace:
    """Return the place of a response of a project of one end user."""
    state = ModelState(flows=tuple(flows), num_workers=num_workers)
    ids = [UUID(int=number).bytes for number in range(num_ahead)]
    group = OwnGroup(
        priority=priority, end_user=0, ids=ids, virtual_time=0.0, estimate=100.0, num_running=0
    )
    return forecast(state, speed).place(
        OwnQueue([group]),
        project_id,
        priority=priority,
        end_user=0,
        response_id=UUID(int=num_ahead),
    )


def test_a_project_alone_waits_for_its_own_responses() -> None:
    flows = [running(), flow("mine", num_queued=40)]

    for num_ahead in (0, 1, 19, 39):
        found = place(flows, num_ahead)
        assert found.position == num_ahead + 1
        assert found.eta_seconds == pytest.approx(2.5 * (num_ahead + 1), abs=1.5)


@pytest.mark.parametrize("weight", [1, 2, 4])
def test_others_come_first_as_their_weights_say(weight: float) -> None:
    other = flow("other", weight=weight, estimate=100 / weight, num_queued=1000)
    flows = [running(), flow("mine", num_queued=40), other]

    found = place(flows, 20)

    assert found.position == pytest.approx(21 + 20 * weight, abs=2)
    assert found.eta_seconds == pytest.approx(2.5 * (21 + 20 * weight), rel=0.1)


def test_another_project_is_ahead_with_what_it_has_and_no_more() -> None:
    flows = [running(), flow("mine", num_queued=40), flow("other", num_queued=5)]

    assert place(flows, 30).position == pytest.approx(36, abs=1)


def test_long_responses_of_others_take_longer() -> None:
    flows = [running(), flow("mine", num_queued=40), flow("long", num_queued=9, estimate=1000.0)]

    found = place(flows, 30)

    assert found.position == pytest.approx(31 + 3.5, abs=1)
    assert found.eta_seconds == pytest.approx(2.5 * 30 + 25 * 3.5, rel=0.1)


def test_a_project_that_is_behind_comes_first() -> None:
    flows = [
        running(),
        flow("mine", num_queued=40),
        flow("other", num_queued=40, virtual_time=1000.0),
    ]

    assert place(flows, 8).position == 9
    assert place(flows, 20).position == pytest.approx(31, abs=2)


def test_flex_waits_for_everything_else() -> None:
    flows = [
        running(),
        flow("other", num_queued=30),
        flow("mine", is_flex=True, num_queued=4, virtual_time=-500.0),
    ]

    found = place(flows, 2, priority=-2)

    assert found.position == 33
    assert found.eta_seconds == pytest.approx(2.5 * 33, rel=0.1)


def test_a_limit_of_running_responses_slows_its_project_alone() -> None:
    limited = flow("limited", num_queued=40, max_running=1, num_running=1)
    flows = [running(3), limited, flow("mine", num_queued=40)]

    assert place(flows, 10, project_id="limited").eta_seconds == pytest.approx(110, rel=0.15)
    # Three of four places are left to the other project.
    assert place(flows, 29).eta_seconds == pytest.approx(100, rel=0.15)


def test_what_arrives_later_is_served_first_within_its_weight() -> None:
    demand = {("busy", False): 20.0}  # half of what the workers can do
    speed = replace(SPEED, demand=demand)
    flows = [running(), flow("mine", num_queued=40), flow("busy")]

    assert place(flows, 20, speed=speed).eta_seconds == pytest.approx(2 * 2.5 * 20, rel=0.1)
    greedy = replace(SPEED, demand={("busy", False): 1000.0})
    assert place(flows, 20, speed=greedy).eta_seconds == pytest.approx(2 * 2.5 * 20, rel=0.1)


def test_free_places_are_taken_at_once() -> None:
    flows = [running(1), flow("mine", num_queued=3)]

    assert [place(flows, n).eta_seconds for n in range(3)] == [0.0, 0.0, 0.0]


def test_a_project_that_is_new_in_the_queue_is_next() -> None:
    flows = [running(), flow("other", num_queued=40, virtual_time=700.0)]

    found = place(flows, 0)

    assert found.position == 1
    assert found.eta_seconds == pytest.approx(2.5)


def test_responses_that_came_after_the_forecast_are_added() -> None:
    flows = [running(), flow("mine", num_queued=4)]

    found = place(flows, 10)

    assert found.position == 11
    assert found.eta_seconds == pytest.approx(2.5 * 11, rel=0.1)


@pytest.mark.parametrize(
    ("speed", "num_workers"),
    [
        (Speed(tokens_per_place_s=None, num_places=4.0), 1),
        (Speed(tokens_per_place_s=10.0, num_places=0.0), 1),
        (SPEED, 0),
    ],
    ids=["nothing measured", "no places", "no worker"],
)
def test_there_is_no_time_where_nothing_is_known(speed: Speed, num_workers: int) -> None:
    flows = [flow("mine", num_queued=4, estimate=0.0)]

    found = place(flows, 2, speed=speed, num_workers=num_workers)

    assert found == QueuePlace(position=3, eta_seconds=None)


def test_an_empty_queue_has_a_next_place() -> None:
    assert place([], 0).position == 1


def test_places_are_in_order_whatever_the_queue() -> None:
    flows = [
        running(),
        *(flow(f"p{n}", num_queued=n % 7, virtual_time=37.0 * (n % 11)) for n in range(300)),
        flow("mine", num_queued=50, weight=3.0, estimate=30.0),
    ]

    places = [place(flows, n) for n in range(50)]

    positions = [found.position or 0 for found in places]
    assert positions == sorted(positions)
    etas = [found.eta_seconds or 0.0 for found in places]
    assert etas == sorted(etas)
