"""Spans as the rest of the server uses them, whether traces are on or off."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client"]
Attributes = Mapping[str, str | int | float | bool | list[str]]


class Span(Protocol):
    """Operation that has begun; all methods are safe from any thread."""

    @property
    def traceparent(self) -> str | None:
        """Value of the header `traceparent` for what it causes; None if traces are off."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, error_type: str) -> None:
        """Mark the operation as failed, with a class of errors."""

    def add_child(
        self,
        name: str,
        start_ns: int,
        end_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        """Add an operation that has ended already, now unless `end_ns` is given (Unix time)."""

    def end(self, end_ns: int | None = None) -> None:
        """End it, now unless a Unix time is given; no effect if it has ended."""


class NoSpan:
    """Span while traces are off."""

    traceparent = None

    def set(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, error_type: str) -> None:
        """Do nothing."""

    def add_child(
        self,
        name: str,
        start_ns: int,
        end_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        """Do nothing."""

    def end(self, end_ns: int | None = None) -> None:
        """Do nothing."""


NO_SPAN = NoSpan()
_CURRENT: ContextVar[Span] = ContextVar("span", default=NO_SPAN)


def current_span() -> Span:
    """Return the span of what this thread, or this coroutine, works on."""
    return _CURRENT.get()


def make_current(span: Span) -> None:
    """Make a span the current one until another is."""
    _CURRENT.set(span)


@contextmanager
def within(span: Span) -> Iterator[None]:
    """Make a span the current one while the context lasts."""
    token = _CURRENT.set(span)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def measured(name: str, attributes: Attributes | None = None) -> Iterator[None]:
    """Add an operation to the current span: what is done while the context lasts."""
    start_ns = time.time_ns()
    try:
        yield
    finally:
        current_span().add_child(name, start_ns, attributes=attributes)


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id in a `traceparent`."""
    return traceparent.split("-")[1] if traceparent else None
