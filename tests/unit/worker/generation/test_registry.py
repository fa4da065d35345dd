"""The registry of running responses: cancel one, release all, and wait until it is empty."""

import threading

import pytest

from models.ids import new_id
from tests.polling import PATIENCE_S
from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from worker.generation.generation import Generation
from worker.generation.registry import RunningResponses


@pytest.fixture
def aborted() -> list[str]:
    return []


@pytest.fixture
def running(aborted: list[str]) -> RunningResponses:
    running = RunningResponses()
    running.bind(aborted.append)
    return running


def enter(running: RunningResponses) -> Generation:
    generation = begin(MemoryLog())
    assert running.add(generation)
    return generation


def test_a_cancelled_response_is_aborted_and_its_end_is_still_ours(
    running: RunningResponses, aborted: list[str]
) -> None:
    generation, _ = enter(running), enter(running)

    running.cancel(generation.record.id)

    assert aborted == [generation.sequence_ids[0]]
    assert not generation.is_released


def test_a_response_that_runs_elsewhere_cannot_be_cancelled_here(
    running: RunningResponses, aborted: list[str]
) -> None:
    enter(running)

    running.cancel(new_id())

    assert aborted == []


def test_a_response_that_has_left_is_not_aborted(
    running: RunningResponses, aborted: list[str]
) -> None:
    generation = enter(running)

    running.remove(generation)
    running.cancel(generation.record.id)

    assert aborted == []


def test_no_generation_enters_after_the_roster_is_closed(running: RunningResponses) -> None:
    running.close()

    assert not running.add(begin(MemoryLog()))
    assert running.wait_empty(0)


def test_those_who_run_stay_when_the_roster_is_closed(running: RunningResponses) -> None:
    generation = enter(running)

    running.close()

    assert not running.wait_empty(0)
    assert [released.record.id for released in running.release_all()] == [generation.record.id]


def test_everything_that_runs_is_released_and_aborted(
    running: RunningResponses, aborted: list[str]
) -> None:
    generations = [enter(running) for _ in range(3)]

    released = running.release_all()

    assert released == generations
    assert all(generation.is_released for generation in generations)
    assert aborted == [generation.sequence_ids[0] for generation in generations]


def test_waiting_ends_when_the_last_one_leaves(running: RunningResponses) -> None:
    generations = [enter(running) for _ in range(2)]
    results: list[bool] = []
    waiter = threading.Thread(target=lambda: results.append(running.wait_empty(30)))
    waiter.start()

    for generation in generations:
        running.remove(generation)
    waiter.join(PATIENCE_S)

    assert results == [True]


def test_waiting_ends_when_its_time_is_up(running: RunningResponses) -> None:
    enter(running)

    assert not running.wait_empty(0.01)


def test_an_older_attempt_that_leaves_does_not_take_the_newer_off(
    running: RunningResponses, aborted: list[str]
) -> None:
    log = MemoryLog()
    first = begin(log)
    second, _ = take_over(log, first)
    running.add(first)
    running.add(second)

    running.remove(first)
    running.cancel(second.record.id)

    assert aborted == [second.sequence_ids[0]]
