"""Foreground requests, which wait for the end of a response.

If the client of a foreground request disconnects, the response is cancelled; a background response
continues.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from flask import Response

from api.event_loop.loop_body import CleanUp, LoopBody, Outlet, respond_with
from api.services import Services
from api.streaming.tail import EventsLostError, Tail, extract_response
from models.errors import AppError, OverloadedError
from models.responses.record import ResponseRecord


def wait_foreground(
    services: Services,
    record: ResponseRecord,
    clean_up: CleanUp | None,
    convert: Callable[[bytes], bytes] | None = None,
) -> Response:
    """Return the finished response as JSON, converted by `convert` in a thread.

    `clean_up` cancels the response if the client disconnects. It is None for a response that
    another connection waits for, which alone can cancel it.
    """
    return respond_with(ForegroundAnswer(services, record, clean_up, convert))


class ForegroundAnswer(LoopBody):
    """Body that is a response's JSON, sent when it has ended."""

    def __init__(
        self,
        services: Services,
        record: ResponseRecord,
        clean_up: CleanUp | None,
        convert: Callable[[bytes], bytes] | None,
    ) -> None:
        self._services = services
        self._record = record
        self._clean_up = clean_up
        self._convert = convert

    async def send(self, outlet: Outlet) -> None:
        """Wait for the end and answer, unless the client leaves."""
        loop = self._services.loop
        try:
            with self._services.places.reserve(outlet.client, self._record.project_id):
                data = await self._wait()
        except asyncio.CancelledError:
            self.abandon()
            raise
        except AppError as error:
            if self._clean_up is not None:
                # Nobody can read what is not stored.
                is_cancelled = isinstance(error, OverloadedError) or not self._record.store
                await loop.read(self._clean_up, is_cancelled)
            raise
        if self._clean_up is not None:
            await loop.read(self._clean_up, False)
        if self._convert is not None:
            data = await asyncio.wrap_future(loop.requests.submit(self._convert, data))
        outlet.answer(data)

    def abandon(self) -> None:
        """Cancel the response."""
        if self._clean_up is not None:
            self._services.loop.run_later(self._clean_up, True)

    async def _wait(self) -> bytes:
        tail = Tail(self._services, self._record)
        try:
            async with aclosing(tail.follow()) as batches:
                async for events in batches:
                    if events[-1].is_terminal:
                        return extract_response(events[-1])
        except EventsLostError:
            if tail.terminal_event is None:
                raise
            # This client has seen no event that the terminal one could contradict.
            return extract_response(tail.terminal_event)
        raise AssertionError("a stream of events ended without its terminal event")
