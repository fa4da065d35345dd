"""Requests run in threads, fewer at a time while the event loop is late."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from api.event_loop import request_pool
from api.event_loop.request_pool import LATE_S, MIN_RUNNING, RequestPool
from tests.polling import PATIENCE_S, eventually

NUM_THREADS = 10


class Loop:
    """Event loop and clock in one; its time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self._calls: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        self._calls.append((self.now + seconds, function))

    def run_next(self, *, late_s: float = 0.0) -> None:
        due_at, function = self._calls.pop()
        self.now = due_at + late_s
        function()

    @property
    def is_idle(self) -> bool:
        return not self._calls


class Calls:
    """Calls that run until they are released, counted."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self._released = threading.Semaphore(0)

    def run(self, number: int) -> int:
        self.started.append(number)
        assert self._released.acquire(timeout=PATIENCE_S)
        return number

    def release(self, number: int = 100) -> None:
        self._released.release(number)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(request_pool, "time", loop)
    return loop


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def pool(loop: Loop, calls: Calls) -> Iterator[RequestPool]:
    pool = RequestPool(NUM_THREADS, loop.call_later)
    yield pool
    calls.release()
    pool.shutdown()


def test_results_and_errors_are_those_of_the_call(pool: RequestPool) -> None:
    assert pool.submit(int, "7").result(PATIENCE_S) == 7
    with pytest.raises(ValueError, match="seven"):
        pool.submit(int, "seven").result(PATIENCE_S)


def test_calls_wait_for_others_and_start_in_turn(
    pool: RequestPool, calls: Calls, loop: Loop
) -> None:
    futures = [pool.submit(calls.run, number) for number in range(MIN_RUNNING + 3)]
    eventually(lambda: len(calls.started) == MIN_RUNNING)

    calls.release(1)
    eventually(lambda: len(calls.started) == MIN_RUNNING + 1)
    calls.release()

    assert [future.result(PATIENCE_S) for future in futures] == list(range(MIN_RUNNING + 3))
    assert sorted(calls.started[:MIN_RUNNING]) == list(range(MIN_RUNNING))
    assert calls.started[MIN_RUNNING] == MIN_RUNNING


def test_clients_take_turns(pool: RequestPool, calls: Calls) -> None:
    for number in range(MIN_RUNNING + 3):
        pool.submit_for("flood", calls.run, number)
    pool.submit_for("other", calls.run, 100)
    eventually(lambda: len(calls.started) == MIN_RUNNING)

    for num_started in range(MIN_RUNNING + 1, MIN_RUNNING + 4):
        calls.release(1)
        eventually(partial(_are, calls, num_started))

    assert calls.started[MIN_RUNNING:] == [MIN_RUNNING, 100, MIN_RUNNING + 1]


def _are(calls: Calls, num_started: int) -> bool:
    return len(calls.started) == num_started


def test_more_run_while_the_loop_is_punctual(pool: RequestPool, calls: Calls, loop: Loop) -> None:
    for number in range(100):
        pool.submit(calls.run, number)

    for _ in range(NUM_THREADS):
        loop.run_next()

    assert pool.max_running == NUM_THREADS
    eventually(lambda: len(calls.started) == NUM_THREADS)


def test_fewer_run_while_the_loop_is_late(pool: RequestPool, calls: Calls, loop: Loop) -> None:
    for number in range(100):
        pool.submit(calls.run, number)
    for _ in range(NUM_THREADS):
        loop.run_next()

    loop.run_next(late_s=LATE_S * 2)
    assert pool.max_running == NUM_THREADS // 2
    for _ in range(5):
        loop.run_next(late_s=LATE_S * 2)

    assert pool.max_running == MIN_RUNNING


def test_the_loop_is_left_alone_while_no_call_waits(
    pool: RequestPool, calls: Calls, loop: Loop
) -> None:
    pool.submit(calls.run, 0)
    assert loop.is_idle
    futures = [pool.submit(calls.run, number) for number in range(1, MIN_RUNNING + 1)]
    assert not loop.is_idle
    calls.release()
    [future.result(PATIENCE_S) for future in futures]

    loop.run_next()

    assert loop.is_idle


def test_a_cancelled_call_is_not_run(pool: RequestPool, calls: Calls) -> None:
    futures = [pool.submit(calls.run, number) for number in range(MIN_RUNNING + 2)]

    assert futures[MIN_RUNNING].cancel()
    calls.release()

    assert futures[-1].result(PATIENCE_S) == MIN_RUNNING + 1
    assert MIN_RUNNING not in calls.started


def test_what_waits_at_a_shutdown_is_run(loop: Loop, calls: Calls) -> None:
    pool = RequestPool(NUM_THREADS, loop.call_later)
    futures = [pool.submit(calls.run, number) for number in range(20)]
    calls.release()

    pool.shutdown()

    assert [future.result(0) for future in futures] == list(range(20))
