"""Moving windows in Valkey; time passes when a test moves the slots into the past."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.access.projects import ProjectLimits
from models.limits.amounts import Demand, Reservation
from models.limits.windows import FIRST_MEAN, StoredRoom, Windows
from tests.slots import SLOTS_OF_MINUTE, age

_KEY = "antiphon:limits:{p}"
_LIMITS = ProjectLimits(
    requests_per_minute=10, input_tokens_per_minute=1000, output_tokens_per_minute=500
)


@pytest.fixture
def windows(client: redis.Redis) -> Windows:
    return Windows(client)


def names(client: redis.Redis) -> list[str]:
    """Return the names of the hash's fields."""
    fields: Any = client.hkeys(_KEY)
    return [field.decode() for field in fields]


def test_it_works(windows: Windows) -> None:
    decision = windows.reserve("p", _LIMITS, Demand(input_tokens=100, output_tokens=50))

    assert decision.refused_by is None
    assert decision.output_tokens == 50
    assert {name: usage.used for name, usage in decision.usage.items()} == {
        "requests": 1,
        "input_tokens": 100,
        "output_tokens": 50,
    }
    assert 59_000 < decision.usage["requests"].reset_ms <= 60_500


@pytest.mark.parametrize(
    ("demand", "refused_by"),
    [
        (Demand(requests=8), "requests"),
        (Demand(input_tokens=800), "input_tokens"),
        (Demand(output_tokens=400), "output_tokens"),
    ],
)
def test_what_exceeds_one_limit_takes_nothing_of_any(
    windows: Windows, demand: Demand, refused_by: str
) -> None:
    first = windows.reserve("p", _LIMITS, Demand(requests=3, input_tokens=201, output_tokens=101))

    refused = windows.reserve("p", _LIMITS, demand)

    assert refused.refused_by == refused_by
    assert 59_000 < refused.wait_ms <= 60_500
    assert [u.used for u in refused.usage.values()] == [u.used for u in first.usage.values()]


def test_the_wait_ends_when_enough_has_left_the_window(
    windows: Windows, client: redis.Redis
) -> None:
    windows.reserve("p", _LIMITS, Demand(requests=2))
    age(client, 60, "p")
    windows.reserve("p", _LIMITS, Demand(requests=8))
    age(client, 10, "p")

    soon = windows.reserve("p", _LIMITS, Demand(requests=2))
    later = windows.reserve("p", _LIMITS, Demand(requests=3))

    assert 25_000 - 500 < soon.wait_ms <= 25_500
    assert 55_000 - 500 < later.wait_ms <= 55_500
    age(client, -(-soon.wait_ms // 500), "p")
    assert windows.reserve("p", _LIMITS, Demand(requests=2)).refused_by is None
    assert windows.reserve("p", _LIMITS, Demand(requests=1)).refused_by == "requests"


def test_a_whole_minute_later_nothing_is_left(windows: Windows, client: redis.Redis) -> None:
    windows.reserve("p", _LIMITS, Demand(requests=10, input_tokens=1000))
    age(client, SLOTS_OF_MINUTE - 1, "p")
    assert windows.reserve("p", _LIMITS, Demand()).refused_by == "requests"

    age(client, 1, "p")
    decision = windows.reserve("p", _LIMITS, Demand())

    assert decision.refused_by is None
    assert decision.usage["input_tokens"].used == 0
    slots = [name for name in names(client) if name[1:].isdigit()]
    assert len(slots) == 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), min_size=1, max_size=40))
def test_no_minute_has_more_than_the_limit_and_no_room_is_lost(
    windows: Windows, client: redis.Redis, arrivals: list[tuple[int, int]]
) -> None:
    client.flushall()
    now, admitted = 0, list[tuple[int, int]]()
    for pause, num in arrivals:
        age(client, pause, "p")
        now += pause
        decision = windows.reserve("p", _LIMITS, Demand(requests=num))
        # The clock itself may have moved on by a slot while this ran.
        surely = sum(n for at, n in admitted if now - at <= SLOTS_OF_MINUTE - 3)
        maybe = sum(n for at, n in admitted if now - at <= SLOTS_OF_MINUTE + 1)
        if decision.refused_by is None:
            assert surely + num <= 10
            admitted.append((now, num))
        else:
            assert maybe + num > 10


def test_processes_at_once_never_exceed_a_limit_together(redis_url: str) -> None:
    def hammer(number: int) -> int:
        with redis.Redis.from_url(redis_url) as own:
            windows = Windows(own)
            limits = ProjectLimits(requests_per_minute=100)
            return sum(windows.reserve("p", limits, Demand()).refused_by is None for _ in range(60))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(hammer, range(4))) == 100


def test_projects_are_counted_apart(windows: Windows) -> None:
    windows.reserve("p", _LIMITS, Demand(requests=10))

    assert windows.reserve("q", _LIMITS, Demand(requests=10)).refused_by is None


def test_only_what_is_limited_is_counted(windows: Windows, client: redis.Redis) -> None:
    windows.reserve("p", ProjectLimits(requests_per_minute=5), Demand(input_tokens=700))

    assert not [name for name in names(client) if name.startswith(("i", "o"))]


def reservation(windows: Windows, **demand: int) -> Reservation:
    decision = windows.reserve("p", _LIMITS, Demand(**demand))
    assert decision.refused_by is None
    return Reservation(
        slot=decision.slot,
        requests=1,
        input_tokens=demand.get("input_tokens", 0),
        output_tokens=decision.output_tokens,
    )


def used(windows: Windows) -> list[int]:
    decision = windows.reserve("p", _LIMITS, Demand(requests=0))
    return [usage.used for usage in decision.usage.values()]


def test_what_was_not_used_is_free_again(windows: Windows, client: redis.Redis) -> None:
    reserved = reservation(windows, input_tokens=100, output_tokens=400)

    windows.settle("p", reserved, input_tokens=100, output_tokens=30, is_whole=True)

    assert used(windows) == [1, 100, 30]
    age(client, SLOTS_OF_MINUTE, "p")
    assert used(windows) == [0, 0, 0]


def test_what_was_used_beyond_it_counts_from_then_on(windows: Windows, client: redis.Redis) -> None:
    reserved = reservation(windows, input_tokens=100, output_tokens=400)
    age(client, SLOTS_OF_MINUTE, "p")
    aged = Reservation(slot=reserved.slot - SLOTS_OF_MINUTE, input_tokens=100, output_tokens=400)

    windows.settle("p", aged, input_tokens=150, output_tokens=900, is_whole=True)

    assert used(windows) == [0, 50, 500]
    refused = windows.reserve("p", _LIMITS, Demand(output_tokens=1))
    assert refused.refused_by == "output_tokens"


def test_what_has_left_the_window_is_not_given_back(windows: Windows, client: redis.Redis) -> None:
    reserved = reservation(windows, output_tokens=400)
    age(client, SLOTS_OF_MINUTE, "p")
    aged = Reservation(slot=reserved.slot - SLOTS_OF_MINUTE, input_tokens=0, output_tokens=400)

    windows.settle("p", aged, input_tokens=0, output_tokens=30, is_whole=True)

    assert used(windows) == [0, 0, 0]


def test_a_cancelled_reservation_leaves_nothing(windows: Windows) -> None:
    reserved = reservation(windows, input_tokens=100, output_tokens=400)

    windows.cancel("p", reserved)

    assert used(windows) == [0, 0, 0]


def test_outputs_without_a_limit_reserve_the_mean_of_the_project(windows: Windows) -> None:
    first = windows.reserve("p", _LIMITS, Demand(num_open_choices=1))
    assert first.output_tokens == FIRST_MEAN
    reserved = Reservation(slot=first.slot, input_tokens=0, output_tokens=FIRST_MEAN, num_choices=2)

    windows.settle("p", reserved, input_tokens=0, output_tokens=80, is_whole=True)

    means = [
        windows.reserve("p", _LIMITS, Demand(num_open_choices=n)).output_tokens for n in (1, 2)
    ]
    assert means == [40, 80]


def test_the_mean_follows_slowly_and_only_whole_outputs(windows: Windows) -> None:
    def end(output_tokens: int, *, is_whole: bool = True) -> int:
        reserved = Reservation(slot=0, input_tokens=0, output_tokens=output_tokens)
        windows.settle(
            "q", reserved, input_tokens=0, output_tokens=output_tokens, is_whole=is_whole
        )
        return windows.reserve("q", ProjectLimits(), Demand(num_open_choices=1)).output_tokens

    means = [end(100), end(200), end(200), end(200)]

    assert means[0] == 100
    assert all(before < after < 200 for before, after in pairwise(means))
    assert end(9000, is_whole=False) == means[-1]


def test_a_guess_keeps_no_request_out_for_ever(windows: Windows) -> None:
    limits = ProjectLimits(output_tokens_per_minute=20)

    decision = windows.reserve("p", limits, Demand(num_open_choices=1))

    assert (decision.refused_by, decision.output_tokens) == (None, 20)


def test_stored_bytes_are_added_up_until_they_are_measured_again(windows: Windows) -> None:
    room = StoredRoom(100, measurement=1)

    def store(num_bytes: int, room: StoredRoom) -> str | None:
        demand = Demand(stored_bytes=num_bytes)
        return windows.reserve("p", ProjectLimits(), demand, room).refused_by

    assert [store(60, room), store(60, room), store(40, room)] == [None, "stored_bytes", None]
    assert store(60, StoredRoom(100, measurement=2)) is None


def test_counters_expire(windows: Windows, client: redis.Redis) -> None:
    reservation(windows, input_tokens=1)

    assert 0 < client.pttl(_KEY) <= 60_500
