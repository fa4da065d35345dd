"""Limits on the streams of a project in all processes."""

from collections.abc import Mapping

import pytest

from api.limits.shared_streams import SharedStreams
from models.limits.exchange import HOLDS_S, Exchange, Others


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeExchange(Exchange):
    """Exchange with processes that a test makes up."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}
        self.others = Others()

    def tell(self, numbers: Mapping[str, int]) -> dict[str, Others]:
        self.told = dict(numbers)
        return dict.fromkeys(numbers, self.others)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


@pytest.fixture
def streams(exchange: FakeExchange, clock: Clock) -> SharedStreams:
    limits = {"p": 6}
    return SharedStreams(
        exchange, limits.get, lambda _: 2, lambda: True, num_processes=3, clock=clock
    )


def test_nothing_is_exchanged_while_nothing_is_limited(exchange: FakeExchange) -> None:
    streams = SharedStreams(exchange, lambda _: None, lambda _: 2, lambda: False, num_processes=3)

    streams.exchange()

    assert (exchange.told, streams.num_processes) == ({}, 3)


def test_streams_of_other_processes_count(streams: SharedStreams, exchange: FakeExchange) -> None:
    streams.exceeded_limit("p", 0)
    exchange.others = Others(total=4, num_processes=1)
    streams.exchange()

    assert exchange.told == {"": 1, "p": 2}
    assert [streams.exceeded_limit("p", num_here) for num_here in (1, 2)] == [None, 6]
    assert streams.num_processes == 2


def test_without_news_a_process_lets_in_its_share(
    streams: SharedStreams, exchange: FakeExchange, clock: Clock
) -> None:
    assert [streams.exceeded_limit("p", num_here) for num_here in (1, 2)] == [None, 6]

    exchange.others = Others(total=0, num_processes=1)
    streams.exchange()
    assert streams.exceeded_limit("p", 5) is None
    clock.now += HOLDS_S

    assert [streams.exceeded_limit("p", num_here) for num_here in (2, 3)] == [None, 6]


def test_a_project_without_a_limit_is_not_told_of(
    streams: SharedStreams, exchange: FakeExchange
) -> None:
    assert streams.exceeded_limit("q", 999) is None
    streams.exchange()

    assert exchange.told == {"": 1}
