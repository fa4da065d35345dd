"""Order and limits of the turns of one connection."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from api.streaming.websocket.errors import StreamLimitReachedError
from api.streaming.websocket.lanes import MAX_NAMED, MAX_RUNNING, Lanes
from models.errors import AppError, TooManyStreamsError


class FakeTurn:
    """Turn that runs until it is told to end."""

    def __init__(self, stream_id: str | None, fault: BaseException | None = None) -> None:
        self.stream_id = stream_id
        self.response_id = None
        self.has_begun = False
        self.may_end = asyncio.Event()
        self.errors: list[AppError] = []
        self._fault = fault

    async def run(self) -> None:
        self.has_begun = True
        await self.may_end.wait()
        if self._fault is not None:
            raise self._fault

    def fail(self, error: AppError) -> None:
        self.errors.append(error)

    refuse = fail

    def cancel(self) -> None:
        """Do nothing."""


class Bench:
    """Lanes, and the places that they have taken."""

    def __init__(self, max_places: int = 100) -> None:
        self.num_places = 0
        self._max_places = max_places
        self.lanes = Lanes(self._take)

    @contextmanager
    def _take(self) -> Iterator[None]:
        if self.num_places == self._max_places:
            raise TooManyStreamsError
        self.num_places += 1
        try:
            yield
        finally:
            self.num_places -= 1

    async def add(self, *names: str | None) -> list[FakeTurn]:
        turns = [FakeTurn(name) for name in names]
        for turn in turns:
            self.lanes.add(turn)
        await settle()
        return turns

    async def end(self, *turns: FakeTurn) -> None:
        for turn in turns:
            turn.may_end.set()
        await settle()


async def settle() -> None:
    """Let all that can run in the loop do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(cast(Any, test()))

    return run


@in_loop
async def test_turns_of_one_stream_come_one_after_the_other() -> None:
    bench = Bench()

    first, second, other = await bench.add("a", "a", None)
    assert [turn.has_begun for turn in (first, second, other)] == [True, False, True]
    await bench.end(first)

    assert second.has_begun
    await bench.end(second, other)
    assert bench.lanes.is_idle


@in_loop
async def test_each_turn_but_one_takes_a_place_while_it_runs() -> None:
    bench = Bench()

    first, second, third = await bench.add("a", "b", "c")
    assert bench.num_places == 2
    await bench.end(first)
    assert bench.num_places == 1
    [fourth] = await bench.add("d")
    assert bench.num_places == 2
    await bench.end(second, third, fourth)

    assert bench.num_places == 0


@in_loop
async def test_a_turn_without_a_place_is_refused_and_the_next_goes_on() -> None:
    bench = Bench(max_places=1)

    first, second, refused = await bench.add("a", "b", "c")

    assert [error.code for error in refused.errors] == ["too_many_streams"]
    await bench.end(second)
    [again] = await bench.add("c")
    assert again.has_begun
    await bench.end(first, again)
    assert bench.num_places == 0


@in_loop
async def test_more_turns_than_may_run_wait_in_order() -> None:
    bench = Bench()

    turns = await bench.add(*(f"s{number}" for number in range(MAX_RUNNING + 2)))
    assert [turn.has_begun for turn in turns] == [True] * MAX_RUNNING + [False] * 2
    await bench.end(turns[3])

    assert [turn.has_begun for turn in turns[-2:]] == [True, False]
    bench.lanes.cancel_all()
    await settle()


@in_loop
async def test_names_are_counted_once() -> None:
    lanes = Bench().lanes
    for number in [*range(MAX_NAMED), *range(MAX_NAMED)]:
        lanes.admit(f"s{number}")
    lanes.admit(None)

    with pytest.raises(StreamLimitReachedError):
        lanes.admit("one more")


@in_loop
async def test_a_turn_is_found_by_its_stream_while_it_runs_or_waits() -> None:
    bench = Bench()

    first, second = await bench.add("a", "a")

    assert bench.lanes.find("a") is first
    await bench.end(first)
    assert bench.lanes.find("a") is second
    await bench.end(second)
    assert bench.lanes.find("a") is None


@in_loop
async def test_all_places_come_back_when_the_client_leaves() -> None:
    bench = Bench()
    turns = await bench.add("a", "b", "b", "c")
    unbegun = FakeTurn("d")
    bench.lanes.add(unbegun)  # cancelled before its first step

    bench.lanes.cancel_all()
    await settle()

    assert bench.num_places == 0
    assert bench.lanes.is_idle
    assert not turns[2].has_begun
    assert not unbegun.has_begun


@in_loop
async def test_a_turn_that_raises_reports_it_and_ends() -> None:
    bench = Bench()
    faulty = FakeTurn("a", ZeroDivisionError())
    bench.lanes.add(faulty)
    [following] = await bench.add("a")

    await bench.end(faulty)

    assert [error.http_status for error in faulty.errors] == [500]
    assert following.has_begun
    await bench.end(following)
