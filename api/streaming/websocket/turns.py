"""Turn on a WebSocket: opens a response and sends its events.

Coroutines run in the event loop; whatever validates or reads runs in threads.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from functools import partial

from api.http.body_budget import ORDINARY_BYTES
from api.http.errors import as_app_error
from api.streaming.tail import Tail
from api.streaming.websocket.client_events import CREATE, Envelope
from api.streaming.websocket.frames import ReceivedMessage, SocketClosedError
from api.streaming.websocket.opening import OpenResponse, Session, create, keep_context, resume
from api.streaming.websocket.server_events import format_error, format_event
from models.errors import AppError
from models.ids import response_wire_id
from models.outages import OUTAGES
from models.streams.event_log import LoggedEvent

logger = logging.getLogger(__name__)

_PIECE_EVENTS = 64
"""Events that are written at once; the client is waited for after each piece."""


def make_turn(session: Session, envelope: Envelope, message: ReceivedMessage) -> "Turn":
    """Return the turn that a message asks for: of a new response, or of one to read on."""
    open_response: Callable[[], OpenResponse]
    if envelope.type == CREATE:
        open_response = partial(create, session, envelope.stream_id, message)
    else:
        open_response = partial(resume, session, message)
    return Turn(session, envelope.stream_id, message, open_response)


class Turn:
    """One turn of a stream; its methods are called in the event loop."""

    __slots__ = (
        "_has_ended",
        "_is_cancelled",
        "_message",
        "_open_response",
        "_opened",
        "_session",
        "stream_id",
    )

    def __init__(
        self,
        session: Session,
        stream_id: str | None,
        message: ReceivedMessage,
        open_response: Callable[[], OpenResponse],
    ) -> None:
        """Create a turn; `open_response` takes the message, in a thread, once it begins."""
        self._session = session
        self.stream_id = stream_id
        self._message = message
        self._open_response = open_response
        self._opened: OpenResponse | None = None
        self._is_cancelled = False
        self._has_ended = False

    @property
    def response_id(self) -> str | None:
        """Id of the response whose events it sends, as clients know it; None before it is found."""
        return None if self._opened is None else response_wire_id(self._opened.record.id)

    async def run(self) -> None:
        """Send the events of its response to the last one, or an error.

        If this coroutine is cancelled, the client has left: `_leave` says what becomes of the
        response.
        """
        try:
            self._opened = await self._open()
        except Exception as error:
            self.fail(as_app_error(error))
        else:
            await self._follow(self._opened)
        self._has_ended = True
        await self._session.socket.drain()

    async def _open(self) -> OpenResponse:
        loop = self._session.services.loop
        pool = loop.large if len(self._message.data) > ORDINARY_BYTES else loop.requests
        opening = asyncio.wrap_future(pool.submit(self._open_response))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Nobody knows the id of what the thread creates.
            opening.add_done_callback(self._cancel_created)
            raise

    def refuse(self, error: AppError) -> None:
        """Send an error instead of running it."""
        self._message.drop()
        self.fail(error)

    def fail(self, error: AppError) -> None:
        """Send an error, unless the client has left."""
        with suppress(SocketClosedError):
            self._session.socket.send(format_error(error, self.stream_id))

    def cancel(self) -> None:
        """Cancel its response; one that is being created is cancelled once it exists."""
        if not self._is_cancelled:
            self._is_cancelled = True
            if self._opened is not None:
                self._begin_cancel(self._opened)

    def _begin_cancel(self, opened: OpenResponse) -> None:
        control = self._session.services.loop.control
        cancelling = asyncio.wrap_future(
            control.submit(self._session.actions.cancel, opened.record)
        )
        cancelling.add_done_callback(self._note_cancelled)

    def _note_cancelled(self, cancelling: "asyncio.Future[object]") -> None:
        """Report a cancel that has failed, and may be requested again, while the response runs."""
        error = None if cancelling.cancelled() else cancelling.exception()
        if isinstance(error, Exception) and not self._has_ended:
            self._is_cancelled = False
            self.fail(as_app_error(error))

    async def _follow(self, opened: OpenResponse) -> None:
        session, is_lost = self._session, False
        if self._is_cancelled:
            self._begin_cancel(opened)
        try:
            tail = Tail(session.services, opened.record, opened.start, session.naming)
            async with aclosing(tail.follow()) as batches:
                async for events in batches:
                    await self._send_batch(opened, events)
        except (SocketClosedError, asyncio.CancelledError):
            self._leave(opened)
            raise
        except AppError as error:
            session.contexts.evict(self.stream_id, opened.previous)
            self.fail(error)
            # Nobody can read on what is not stored.
            is_lost = not opened.record.store
        if opened.is_new:
            await session.services.loop.read(session.actions.clean_up, opened.record, is_lost)

    async def _send_batch(self, opened: OpenResponse, events: list[LoggedEvent]) -> None:
        socket = self._session.socket
        for start in range(0, len(events), _PIECE_EVENTS):
            for event in events[start : start + _PIECE_EVENTS]:
                if event.is_terminal and opened.is_new:
                    await self._keep_context(opened, event)
                socket.send(format_event(event.data, self.stream_id))
            await socket.drain()

    async def _keep_context(self, opened: OpenResponse, end: LoggedEvent) -> None:
        """Keep the context before the end is sent: another stream may continue it at once."""
        read = self._session.services.loop.read
        try:
            await read(keep_context, self._session, self.stream_id, opened, end)
        except (AppError, *OUTAGES) as error:
            # The response has ended all the same; a turn that continues it is refused.
            logger.warning("context not kept", extra={"error": repr(error)})

    def _leave(self, opened: OpenResponse) -> None:
        """Cancel a new response whose client has left, unless that may come back for its events.

        A client that closes the connection has left for good; one whose connection breaks may read
        on what is stored.
        """
        is_broken = not self._session.socket.has_client_closed
        if opened.is_new and not (is_broken and opened.record.store):
            actions = self._session.actions
            self._session.services.loop.run_later(actions.clean_up, opened.record, True)

    def _cancel_created(self, opening: "asyncio.Future[OpenResponse]") -> None:
        if opening.cancelled() or opening.exception() is not None:
            return
        opened = opening.result()
        if opened.is_new:
            actions = self._session.actions
            self._session.services.loop.run_later(actions.clean_up, opened.record, True)
