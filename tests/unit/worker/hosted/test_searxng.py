"""Requests to SearXNG, and results read from its answers."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from models.tools.web_search import Hit
from tests.searxng import FakeSearxng, result
from worker.hosted.searxng import MAX_ANSWER_BYTES, SearchError, SearchOptions, Searxng

PAGES = [
    result("https://a.example/1", "One", "x" * 2000),
    result("https://deep.b.example/2", "Two", "two"),
    result("https://notb.example/3", "Three", "three"),
    *[result(f"https://c.example/{number}") for number in range(20)],
]


class Search:
    """A fake SearXNG and its client."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.fake: FakeSearxng

    def __call__(
        self, query: str, answer: Any = PAGES, *, status: int = 200, **options: Any
    ) -> list[Hit]:
        is_raw = isinstance(answer, bytes)
        fake = FakeSearxng([] if is_raw else answer, status=status, body=answer if is_raw else None)
        self.fake = self._stack.enter_context(fake)
        provider = self._stack.enter_context(closing(Searxng(self.fake.url)))
        return provider.search(query, SearchOptions(**options))


@pytest.fixture
def search() -> Iterator[Search]:
    with ExitStack() as stack:
        yield Search(stack)


def test_hits_come_in_their_order_with_what_can_be_cited(search: Search) -> None:
    hits = search("weather")

    assert search.fake.queries == ["weather"]
    assert [hit.title for hit in hits[:3]] == ["One", "Two", "Three"]
    assert hits[1] == Hit(url="https://deep.b.example/2", title="Two", text="two")


@pytest.mark.parametrize(
    ("size", "num_hits", "num_characters"),
    [("low", 3, 300), ("medium", 6, 600), ("high", 12, 1200)],
)
def test_the_size_of_the_context_bounds_what_is_read(
    search: Search, size: str, num_hits: int, num_characters: int
) -> None:
    hits = search("weather", context_size=size)

    assert len(hits) == num_hits
    assert len(hits[0].text) == num_characters


def test_only_allowed_domains_are_found(search: Search) -> None:
    hits = search("weather", allowed_domains=["B.example"])

    assert [hit.title for hit in hits] == ["Two"]
    assert search.fake.queries == ["weather site:B.example"]


def test_blocked_domains_are_not_found(search: Search) -> None:
    hits = search("weather", blocked_domains=["c.example", "a.example"])

    assert [hit.title for hit in hits] == ["Two", "Three"]


def test_the_place_of_the_user_is_part_of_the_query_once(search: Search) -> None:
    search("weather", place="Paris")
    assert search.fake.queries == ["weather Paris"]

    search("weather in paris", place="Paris")
    assert search.fake.queries == ["weather in paris"]


def test_what_cannot_be_cited_is_left_out(search: Search) -> None:
    odd = [{"url": "javascript:alert(1)"}, {"title": "none"}, "text", result("https://a.example/")]

    assert [hit.url for hit in search("weather", odd)] == ["https://a.example/"]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (403, b"", "search.formats"),
        (500, b"", "status 500"),
        (200, b"<html>", "not JSON"),
        (200, b"[]", "not an object"),
        (200, b" " * (MAX_ANSWER_BYTES + 1), "too large"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(
    search: Search, status: int, answer: bytes, words: str
) -> None:
    with pytest.raises(SearchError, match=words):
        search("weather", answer, status=status)


def test_a_server_that_is_not_there_says_so() -> None:
    with (
        closing(Searxng("http://127.0.0.1:1")) as provider,
        pytest.raises(SearchError, match="cannot be reached"),
    ):
        provider.search("weather", SearchOptions())
