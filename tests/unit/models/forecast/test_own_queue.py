"""The order of a project's own responses: priority, end users in turns, then age."""

from uuid import UUID

import pytest

from models.forecast.own_queue import OwnGroup, OwnQueue


def group(priority: int = 0, end_user: int = 0, *numbers: int, **changes: object) -> OwnGroup:
    fields = {
        "priority": priority,
        "end_user": end_user,
        "ids": [UUID(int=number).bytes for number in numbers],
        "virtual_time": 0.0,
        "estimate": 10.0,
        "num_running": 0,
    }
    return OwnGroup(**fields | changes)  # type: ignore[arg-type]


def test_older_ones_come_first() -> None:
    queue = OwnQueue([group(0, 0, 1, 3, 5)])

    assert [queue.num_ahead(0, 0, UUID(int=n)) for n in (1, 2, 3, 5, 9)] == [0, 1, 1, 2, 3]


def test_higher_priorities_come_first_within_the_tier() -> None:
    queue = OwnQueue([group(2, 0, 8, 9), group(1, 7, 7), group(0, 0, 1), group(-2, 0, 2, 3)])

    assert queue.num_ahead(0, 0, UUID(int=1)) == 3
    assert queue.num_ahead(2, 0, UUID(int=9)) == 1
    # What is not `flex` is not counted here: a forecast puts it before all that is.
    assert queue.num_ahead(-2, 0, UUID(int=3)) == 1


def test_end_users_take_turns() -> None:
    queue = OwnQueue([group(0, 1, *range(100, 150)), group(0, 2, 500, 501)])

    assert queue.num_ahead(0, 2, UUID(int=500)) == pytest.approx(0.5)
    assert queue.num_ahead(0, 2, UUID(int=501)) == pytest.approx(2.5)
    assert queue.num_ahead(0, 1, UUID(int=149)) == 49 + 2


def test_an_end_user_who_is_behind_comes_first() -> None:
    queue = OwnQueue([group(0, 1, 1, 2, 3), group(0, 2, 4, virtual_time=15.0)])

    assert queue.num_ahead(0, 1, UUID(int=2)) == 1
    assert queue.num_ahead(0, 1, UUID(int=3)) == 3


def test_running_responses_count_against_their_end_user() -> None:
    queue = OwnQueue([group(0, 1, 1), group(0, 2, 2, num_running=2)])

    assert queue.num_ahead(0, 1, UUID(int=1)) == 0
    assert queue.num_ahead(0, 2, UUID(int=2)) == 1


def test_an_end_user_without_a_flow_begins_where_the_others_are() -> None:
    others = group(0, 1, 1, 2, virtual_time=70.0)
    queue = OwnQueue([others, group(0, 2, 3, virtual_time=None, estimate=0.0)])

    assert queue.num_ahead(0, 2, UUID(int=3)) == pytest.approx(0.5)
    assert queue.num_ahead(0, 9, UUID(int=9)) == pytest.approx(1.0)


def test_it_knows_what_it_has() -> None:
    queue = OwnQueue([group(0, 1, 1, 3)])

    assert queue.has(0, 1, UUID(int=3))
    assert not queue.has(0, 1, UUID(int=2))
    assert not queue.has(0, 1, UUID(int=4))
    assert not queue.has(0, 2, UUID(int=3))
    assert queue.num_ids == 2


def test_many_end_users_take_turns() -> None:
    """Their number does not matter to the time that an answer takes."""
    users = range(100)
    queue = OwnQueue([group(0, user, *range(10 * user + 1, 10 * user + 6)) for user in users])

    for turn in range(5):
        ahead = queue.num_ahead(0, 7, UUID(int=71 + turn))
        assert ahead == pytest.approx(100 * turn + 50, abs=51)
    assert queue.num_ahead(0, 7, UUID(int=99)) == pytest.approx(500, abs=10)


def test_what_is_added_is_the_last_of_its_end_user() -> None:
    queue = OwnQueue([group(0, 1, 1, 2)])

    queue.add(0, 1, UUID(int=9))
    queue.add(0, 1, UUID(int=9))
    queue.add(0, 1, UUID(int=5))
    queue.add(2, 3, UUID(int=7))

    assert queue.num_ahead(0, 1, UUID(int=9)) == 3
    assert queue.num_ids == 4


def test_end_users_who_will_send_something_take_turns_with_it() -> None:
    queue = OwnQueue([group(0, 1, *range(100, 110))], num_users=5)
    last = UUID(int=109)

    assert queue.num_ahead(0, 1, last) == 9
    assert queue.num_ahead(0, 1, last, num_more=10) == pytest.approx(9 + 4 * 2)
    assert queue.num_ahead(0, 1, last, num_more=1000) == pytest.approx(9 + 4 * 9.5)
    assert OwnQueue([group(0, 1, 1, 2)]).num_ahead(0, 1, UUID(int=2), num_more=9) == 1
