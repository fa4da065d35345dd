"""Who is running: cancelling one, releasing all, and waiting until nobody is left."""

import threading

import pytest

from models.ids import new_id
from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from worker.generation.generation import Generation
from worker.generation.registry import Roster


@pytest.fixture
def aborted() -> list[str]:
    return []


@pytest.fixture
def roster(aborted: list[str]) -> Roster:
    roster = Roster()
    roster.bind(aborted.append)
    return roster


def enter(roster: Roster) -> Generation:
    generation = begin(MemoryLog())
    assert roster.enter(generation)
    return generation


def test_a_cancelled_response_is_aborted_and_its_end_is_still_ours(
    roster: Roster, aborted: list[str]
) -> None:
    generation, _ = enter(roster), enter(roster)

    roster.cancel(generation.stored.id)

    assert aborted == [generation.sequence_ids[0]]
    assert not generation.is_released


def test_a_response_that_runs_elsewhere_cannot_be_cancelled_here(
    roster: Roster, aborted: list[str]
) -> None:
    enter(roster)

    roster.cancel(new_id())

    assert aborted == []


def test_a_response_that_has_left_is_not_aborted(roster: Roster, aborted: list[str]) -> None:
    generation = enter(roster)

    roster.leave(generation)
    roster.cancel(generation.stored.id)

    assert aborted == []


def test_no_generation_enters_after_the_roster_is_closed(roster: Roster) -> None:
    roster.close()

    assert not roster.enter(begin(MemoryLog()))
    assert roster.wait_empty(0)


def test_those_who_run_stay_when_the_roster_is_closed(roster: Roster) -> None:
    generation = enter(roster)

    roster.close()

    assert not roster.wait_empty(0)
    assert [each.stored.id for each in roster.release_all()] == [generation.stored.id]


def test_everything_that_runs_is_released_and_aborted(roster: Roster, aborted: list[str]) -> None:
    generations = [enter(roster) for _ in range(3)]

    released = roster.release_all()

    assert released == generations
    assert all(generation.is_released for generation in generations)
    assert aborted == [generation.sequence_ids[0] for generation in generations]


def test_waiting_ends_when_the_last_one_leaves(roster: Roster) -> None:
    generations = [enter(roster) for _ in range(2)]
    results: list[bool] = []
    waiter = threading.Thread(target=lambda: results.append(roster.wait_empty(30)))
    waiter.start()

    for generation in generations:
        roster.leave(generation)
    waiter.join(30)

    assert results == [True]


def test_waiting_ends_when_its_time_is_up(roster: Roster) -> None:
    enter(roster)

    assert not roster.wait_empty(0.01)


def test_an_older_attempt_that_leaves_does_not_take_the_newer_off(
    roster: Roster, aborted: list[str]
) -> None:
    log = MemoryLog()
    first = begin(log)
    second, _ = take_over(log, first)
    roster.enter(first)
    roster.enter(second)

    roster.leave(first)
    roster.cancel(second.stored.id)

    assert aborted == [second.sequence_ids[0]]
