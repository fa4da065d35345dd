"""Server-sent events: frames, keep-alive comments, and clients that leave or lag behind."""

import asyncio
from contextlib import aclosing
from typing import Protocol

from flask import Response

from api.event_loop.loop_body import CleanUp, LoopBody, Outlet, respond_with
from api.queueing.announcer import PlaceAnnouncer
from api.services import Services
from api.streaming.event_names import read_naming
from api.streaming.keep_alive import KeepAlive
from api.streaming.obfuscation import pad_event
from api.streaming.tail import Tail, make_error_event
from models.errors import AppError
from models.metrics.recorder import RECORDER
from models.metrics.table import STREAM_DROPPED, STREAM_RESUMES
from models.responses.record import ResponseRecord
from models.streams.event_log import LoggedEvent

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"
_OPENING = ("response.created", "response.queued")
"""Types of events that say nothing about the beginning of a response."""
_PIECE_EVENTS = 64
"""Events that are written at once; the client is waited for after each piece."""


class FrameEncoder(Protocol):
    """Conversion of events to frames; used in the event loop alone."""

    def encode(self, event: LoggedEvent) -> bytes:
        """Return the frames of an event, or nothing if it has none."""

    def encode_error(self, error: AppError, sequence_number: int) -> bytes:
        """Return the frame that says why the stream cannot continue."""


class EventEncoder:
    """`FrameEncoder` that sends each event as it is."""

    def __init__(self, is_padded: bool) -> None:
        self._is_padded = is_padded

    def encode(self, event: LoggedEvent) -> bytes:
        """Return the event as a frame."""
        return format_frame(event, is_padded=self._is_padded)

    def encode_error(self, error: AppError, sequence_number: int) -> bytes:
        """Return an `error` event."""
        return format_frame(make_error_event(error, sequence_number))


def stream_events(
    services: Services,
    record: ResponseRecord,
    *,
    start: int,
    is_padded: bool | None = None,
    clean_up: CleanUp | None = None,
) -> Response:
    """Stream a response's events from sequence number `start`.

    Deltas are padded if `is_padded`; None means as the request that created the response says.
    `clean_up` is that of a foreground stream, which cancels its response if the client disconnects.
    Raises a 400 for names of events that the request asks for and nobody knows.
    """
    naming = read_naming(services.settings.reasoning_events)
    if start:
        RECORDER.count(STREAM_RESUMES)
    if is_padded is None:
        options = record.parameters.get("stream_options") or {}
        is_padded = options.get("include_obfuscation", True)
    return respond_with_events(
        Tail(services, record, start, naming), EventEncoder(is_padded), clean_up
    )


def respond_with_events(tail: Tail, encoder: FrameEncoder, clean_up: CleanUp | None) -> Response:
    """Return a stream of the events of a tail, in the frames of an encoder."""
    body = EventStream(tail, encoder, clean_up)
    response = respond_with(body, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class EventStream(LoopBody):
    """Body that has the events of one response."""

    def __init__(self, tail: Tail, encoder: FrameEncoder, clean_up: CleanUp | None) -> None:
        self._tail = tail
        self._services = tail.services
        self._encoder = encoder
        self._clean_up = clean_up

    async def send(self, outlet: Outlet) -> None:
        """Send all events, unless the client leaves."""
        try:
            # Before anything is sent: a full server answers 503 instead of a broken stream.
            project_id = self._tail.record.project_id
            with self._services.places.reserve(outlet.client, project_id):
                outlet.begin()
                is_whole = await self._send_all(outlet)
        except asyncio.CancelledError:
            RECORDER.count(STREAM_DROPPED, "slow" if outlet.is_dropped else "left")
            self._end_early(outlet)
            raise
        except AppError:
            if self._clean_up is not None:
                await self._services.loop.read(self._clean_up, True)
            raise
        if self._clean_up is not None:
            # Nobody can read on what is not stored.
            is_lost = not (is_whole or self._tail.record.store)
            self._services.loop.run_later(self._clean_up, is_lost)

    def abandon(self) -> None:
        """Cancel the response of a foreground stream."""
        if self._clean_up is not None:
            self._services.loop.run_later(self._clean_up, True)

    def _end_early(self, outlet: Outlet) -> None:
        """Cancel the response of a foreground stream whose client has left.

        A client that was dropped for its slowness has not left: it may read on what is stored.
        """
        if not (outlet.is_dropped and self._tail.record.store):
            self.abandon()

    async def _send_all(self, outlet: Outlet) -> bool:
        """Send the events; return False if an error has ended them."""
        timings, record = self._services.timings, self._tail.record
        keep_alive = KeepAlive(timings.keep_alive_s, lambda: outlet.write(_KEEP_ALIVE))

        def tell(comment: bytes) -> None:
            keep_alive.note_sent()
            outlet.write(comment)

        announcer = PlaceAnnouncer(
            self._services.queue_places,
            self._services.loop,
            record,
            tell,
            interval_s=timings.place_s,
        )
        try:
            async with aclosing(self._tail.follow()) as batches:
                async for events in batches:
                    keep_alive.note_sent()
                    if events[-1].type not in _OPENING:
                        announcer.cancel()
                    await self._send_batch(outlet, events)
        except AppError as error:
            RECORDER.count(STREAM_DROPPED, "error")
            outlet.write(self._encoder.encode_error(error, self._tail.next_number) + _DONE)
            return False
        else:
            outlet.write(_DONE)
            return True
        finally:
            announcer.cancel()
            keep_alive.cancel()

    async def _send_batch(self, outlet: Outlet, events: list[LoggedEvent]) -> None:
        for start in range(0, len(events), _PIECE_EVENTS):
            piece = events[start : start + _PIECE_EVENTS]
            if data := b"".join(map(self._encoder.encode, piece)):
                outlet.write(data)
            await outlet.drain()


def format_frame(event: LoggedEvent, *, is_padded: bool = False) -> bytes:
    """Return one event as a complete frame."""
    data = pad_event(event) if is_padded else event.data
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), data)
