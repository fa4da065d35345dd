"""Turns of one connection: in order on each stream, and on several streams at a time."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Protocol

from api.http.errors import as_app_error
from api.streaming.websocket.errors import StreamLimitReachedError
from api.streaming.websocket.frames import SocketClosedError
from models.errors import AppError, OverloadedError

MAX_RUNNING = 16
"""Number of turns of one connection that run at a time; more wait."""
MAX_NAMED = 32
"""Number of streams that a connection may name; the default one is not counted."""

TakePlace = Callable[[], AbstractContextManager[None]]


class LaneTurn(Protocol):
    """One turn of a stream."""

    stream_id: str | None

    @property
    def response_id(self) -> str | None:
        """Id of its response, as clients know it; None before that is found."""

    async def run(self) -> None:
        """Send events to the end of the response."""

    def refuse(self, error: AppError) -> None:
        """Send an error instead of running it."""

    def fail(self, error: AppError) -> None:
        """Send an error."""

    def cancel(self) -> None:
        """Cancel its response."""


class Lanes:
    """Turns that run and wait; used in the event loop alone.

    One turn at a time runs in the place of the connection; each further one takes another place of
    the streams of its client.
    """

    __slots__ = ("_names", "_places", "_running", "_take_place", "_waiting")

    def __init__(self, take_place: TakePlace) -> None:
        self._take_place = take_place
        self._places: list[ExitStack] = []
        """Places that are taken beside that of the connection."""
        self._names: set[str] = set()
        self._running: dict[LaneTurn, asyncio.Task[None]] = {}
        self._waiting: list[LaneTurn] = []

    @property
    def is_idle(self) -> bool:
        """Return True if no turn runs or waits."""
        return not (self._running or self._waiting)

    def admit(self, stream_id: str | None) -> None:
        """Note the name of a stream; raise an `AppError` if there are too many."""
        if stream_id is None or stream_id in self._names:
            return
        if len(self._names) >= MAX_NAMED:
            raise StreamLimitReachedError
        self._names.add(stream_id)

    def add(self, turn: LaneTurn) -> None:
        """Run a turn when those before it on its stream have ended."""
        self._waiting.append(turn)
        self._start_waiting()

    def find(self, stream_id: str | None) -> LaneTurn | None:
        """Return the turn that a stream works on, or will work on next; None if there is none."""
        turns = (*self._running, *self._waiting)
        return next((turn for turn in turns if turn.stream_id == stream_id), None)

    def find_response(self, wire_id: str) -> LaneTurn | None:
        """Return the turn that sends the events of a response; None if there is none."""
        return next((turn for turn in self._running if turn.response_id == wire_id), None)

    def cancel_all(self) -> None:
        """Cancel the turns that run, and drop those that wait: the client has left."""
        self._waiting.clear()
        for task in self._running.values():
            task.cancel()

    def _start_waiting(self) -> None:
        busy = {turn.stream_id for turn in self._running}
        for turn in list(self._waiting):
            if len(self._running) >= MAX_RUNNING:
                return
            if turn.stream_id not in busy:
                self._waiting.remove(turn)
                if self._start(turn):
                    busy.add(turn.stream_id)

    def _start(self, turn: LaneTurn) -> bool:
        try:
            if len(self._running) > len(self._places):
                place = ExitStack()
                place.enter_context(self._take_place())
                self._places.append(place)
        except OverloadedError as error:
            turn.refuse(error)
            return False
        self._running[turn] = asyncio.create_task(_run(turn))
        # A task that is cancelled before its first step runs no `finally`.
        self._running[turn].add_done_callback(lambda _: self._end(turn))
        return True

    def _end(self, turn: LaneTurn) -> None:
        del self._running[turn]
        if self._places and len(self._places) >= len(self._running):
            self._places.pop().close()
        self._start_waiting()


async def _run(turn: LaneTurn) -> None:
    try:
        with suppress(SocketClosedError, asyncio.CancelledError):
            await turn.run()
    except Exception as error:
        turn.fail(as_app_error(error))
