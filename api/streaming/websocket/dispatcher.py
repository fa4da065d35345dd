"""Events of the client of one WebSocket, each handed to what acts on it.

Requests for responses wait for their turn on their stream; all other events are acted on at once.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from api.http.body_budget import ORDINARY_BYTES
from api.http.errors import as_app_error
from api.streaming.websocket.client_events import (
    CANCEL,
    CREATE,
    RESUME,
    CancelResponse,
    Envelope,
    parse_event,
    read_envelope,
)
from api.streaming.websocket.errors import ConnectionExpiredError, ResponseNotRunningError
from api.streaming.websocket.frames import NORMAL, ReceivedMessage, SocketClosedError
from api.streaming.websocket.lanes import Lanes, LaneTurn
from api.streaming.websocket.opening import Session
from api.streaming.websocket.server_events import format_error, refuse_steering

T = TypeVar("T")
MakeTurn = Callable[[Envelope, ReceivedMessage], LaneTurn]

SMALL_BYTES = 1 << 14
"""Size up to which a message is looked into by the event loop itself."""
_LAST_TURNS_S = 0.5
"""Seconds between two looks at whether an expired connection has sent all it had begun."""


class Dispatcher:
    """Reader of one connection."""

    __slots__ = ("_expires_at", "_lanes", "_make_turn", "_session", "_socket")

    def __init__(self, session: Session, make_turn: MakeTurn) -> None:
        self._session = session
        self._make_turn = make_turn
        self._socket = session.socket
        self._expires_at = time.monotonic() + session.services.timings.max_age_s
        take_place = session.services.places.reserve
        self._lanes = Lanes(partial(take_place, session.client, session.caller.project_id))

    async def serve(self) -> None:
        """Act on events until the client disconnects, or the connection is too old."""
        try:
            while (left_s := self._expires_at - time.monotonic()) > 0 or not self._lanes.is_idle:
                message = await self._socket.next(left_s if left_s > 0 else _LAST_TURNS_S)
                if message is not None:
                    await self._handle(message)
            self._socket.send(format_error(ConnectionExpiredError()))
            self._socket.close(NORMAL)
        finally:
            self._lanes.cancel_all()
            self._session.contexts.close()

    async def _handle(self, message: ReceivedMessage) -> None:
        stream_id = None
        try:
            envelope = await self._read(message, read_envelope)
            stream_id = envelope.stream_id
            envelope.check_type()
            if envelope.type in (CREATE, RESUME):
                self._add_turn(envelope, message)
            else:
                await self._act(envelope, message)
        except SocketClosedError:
            raise
        except Exception as error:
            message.drop()
            self._socket.send(format_error(as_app_error(error), stream_id))
        await self._socket.drain()

    async def _read(self, message: ReceivedMessage, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of a message, in a thread if the message is not small."""
        num_bytes = len(message.data)
        if num_bytes <= SMALL_BYTES:
            return read(message.data)
        loop = self._session.services.loop
        pool = loop.large if num_bytes > ORDINARY_BYTES else loop.requests
        return await asyncio.wrap_future(pool.submit(read, message.data))

    def _add_turn(self, envelope: Envelope, message: ReceivedMessage) -> None:
        if time.monotonic() > self._expires_at:
            raise ConnectionExpiredError
        self._lanes.admit(envelope.stream_id)
        self._lanes.add(self._make_turn(envelope, message))

    async def _act(self, envelope: Envelope, message: ReceivedMessage) -> None:
        if envelope.type == CANCEL:
            event = await self._read(message, partial(parse_event, model=CancelResponse))
            self._find_turn(envelope.stream_id, event.response_id).cancel()
        else:
            self._socket.send(await self._read(message, refuse_steering))
        await self._socket.drain()
        message.drop()

    def _find_turn(self, stream_id: str | None, response_id: str | None) -> LaneTurn:
        """Return the turn that a cancel means; raise a 404 if there is none."""
        lanes = self._lanes
        turn = lanes.find(stream_id) if response_id is None else lanes.find_response(response_id)
        if turn is None or stream_id not in (None, turn.stream_id):
            param = "stream_id" if response_id is None else "response_id"
            raise ResponseNotRunningError(param=param)
        return turn
