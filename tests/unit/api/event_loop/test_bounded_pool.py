"""Calls run a few at a time; one that waits for another host gives up its place meanwhile."""

import threading
from collections.abc import Iterator

import pytest

from api.event_loop.bounded_pool import MAX_ELSEWHERE, BoundedPool, waiting_elsewhere
from tests.polling import PATIENCE_S, eventually


@pytest.fixture
def pool() -> Iterator[BoundedPool]:
    made = BoundedPool(2, "test")
    yield made
    made.shutdown()


class Host:
    """Host that answers when it is told to, and the number of calls that wait for it."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.num_waiting = 0
        self._lock = threading.Lock()

    def ask(self) -> str:
        with waiting_elsewhere():
            return self.ask_and_stay()

    def ask_and_stay(self) -> str:
        with self._lock:
            self.num_waiting += 1
        assert self.answer.wait(PATIENCE_S)
        return "answered"


def test_results_and_errors_are_those_of_the_call(pool: BoundedPool) -> None:
    assert pool.submit(int, "7").result(PATIENCE_S) == 7
    with pytest.raises(ValueError, match="seven"):
        pool.submit(int, "seven").result(PATIENCE_S)


def test_calls_wait_for_their_turn(pool: BoundedPool) -> None:
    host = Host()
    staying = [pool.submit(host.ask_and_stay) for _ in range(2)]
    later = pool.submit(int, "7")
    eventually(lambda: host.num_waiting == 2)

    assert not later.done()
    host.answer.set()

    assert later.result(PATIENCE_S) == 7
    assert [one.result(PATIENCE_S) for one in staying] == ["answered"] * 2


def test_calls_that_wait_for_another_host_hold_nobody_up(pool: BoundedPool) -> None:
    host = Host()
    waiting = [pool.submit(host.ask) for _ in range(MAX_ELSEWHERE)]
    eventually(lambda: host.num_waiting == MAX_ELSEWHERE)

    assert pool.submit(int, "7").result(PATIENCE_S) == 7
    host.answer.set()

    assert [one.result(PATIENCE_S) for one in waiting] == ["answered"] * MAX_ELSEWHERE


def test_those_that_have_their_answer_count_again(pool: BoundedPool) -> None:
    host, other = Host(), Host()

    def ask_both() -> str:
        host.ask()
        return other.ask_and_stay()

    futures = [pool.submit(ask_both) for _ in range(2)]
    eventually(lambda: host.num_waiting == 2)
    host.answer.set()
    eventually(lambda: other.num_waiting == 2)

    last = pool.submit(int, "7")
    assert not last.done()
    other.answer.set()

    assert last.result(PATIENCE_S) == 7
    assert [one.result(PATIENCE_S) for one in futures] == ["answered"] * 2


def test_a_thread_of_no_pool_may_wait_too() -> None:
    host = Host()
    host.answer.set()

    assert host.ask() == "answered"
