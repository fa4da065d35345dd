"""Frames of one WebSocket: messages within limits, pings and the closing handshake.

Compression is not negotiated. A message is counted while it arrives, and its bytes belong to the
budget of all bodies; what a client sends ahead of its turn is limited, and so is the number of
frames, each of which takes work however small it is.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage

from api.event_loop.loop_body import Outlet
from api.http.body_budget import BodyBudget, BodyLease
from api.http.strict_json import MAX_BODY_BYTES
from api.streaming.keep_alive import KeepAlive
from models.errors import OverloadedError

MAX_WAITING = 32
"""Number of requests that a client may send ahead on one connection."""
MAX_LARGE_WAITING = 2
"""Number of them if they are larger than `LARGE_BYTES` together."""
LARGE_BYTES = 1 << 20
PING_S = 25.0
"""Seconds between two pings of an idle connection."""
SILENCE_S = 75.0
"""Seconds after which a client is gone that has not even answered pings."""
MAX_FRAMES_PER_S = 2000
NORMAL = 1000
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
TOO_BIG = 1009
TRY_AGAIN_LATER = 1013


class SocketClosedError(Exception):
    """The connection is closed, or about to be."""


@dataclass(slots=True)
class ReceivedMessage:
    """Whole message, with the lease of its bytes. It waits until its data is taken."""

    data: bytes
    lease: BodyLease
    is_waiting: bool = True

    def take(self) -> bytes:
        """Return the data and hold it no longer."""
        data, self.data, self.is_waiting = self.data, b"", False
        return data

    def drop(self) -> None:
        """Hold the data no longer, and give its bytes back."""
        self.take()
        self.lease.release()


class FrameSocket:
    """WebSocket on an outlet; used in the event loop alone.

    The task that creates it is cancelled when the connection ends otherwise than by this task.
    """

    def __init__(self, outlet: Outlet, budget: BodyBudget) -> None:
        self._outlet = outlet
        self._budget = budget
        self._wire = Connection(ConnectionType.SERVER)
        self._parts: list[bytes] = []
        self._lease = budget.lease(outlet.client)
        self._unread: deque[ReceivedMessage] = deque()
        self._waiting: list[ReceivedMessage] = []
        """Messages whose turn has not come, read or not."""
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        self.has_client_closed = False
        """True if the client has closed the connection as the protocol has it."""
        self._session = asyncio.current_task()
        self._received_at = self._second_began_at = time.monotonic()
        self._num_frames = 0
        self._keep_alive = KeepAlive(PING_S, self._ping)

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._received_at = time.monotonic()
        if self._wire.state not in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            return
        self._wire.receive_data(data)
        for event in self._wire.events():
            if self._is_closed and not isinstance(event, CloseConnection):
                break  # what follows is not even parsed
            self._handle(event)

    async def next(self, timeout_s: float) -> ReceivedMessage | None:
        """Return the next message, or None after `timeout_s` seconds."""
        while not self._unread:
            self._check_open()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiter
            except TimeoutError:
                return None
        return self._unread.popleft()

    def send(self, data: bytes) -> None:
        """Send a text message."""
        self._check_open()
        self._keep_alive.note_sent()
        self._outlet.write(self._wire.send(TextMessage(data=data.decode())))

    async def drain(self) -> None:
        """Wait while the client is behind; raise `SocketClosedError` if it has left."""
        await self._outlet.drain()
        self._check_open()

    def close(self, code: int, reason: str = "") -> None:
        """Close from this side; no effect if that was done."""
        if not self._is_closed:
            self._outlet.write(self._wire.send(CloseConnection(code=code, reason=reason)))
            self._end()

    def release(self) -> None:
        """Give back what is left of the budget, and stop the pings.

        References to this socket may be left in cycles, so it holds no data any longer.
        """
        self._keep_alive.cancel()
        self._lease.release()
        self._parts.clear()
        for message in self._waiting:
            message.lease.release()
        self._waiting.clear()
        self._unread.clear()

    def _handle(self, event: Event) -> None:
        self._count_frame()
        if self._is_closed and not isinstance(event, CloseConnection):
            return
        if isinstance(event, TextMessage):
            self._add(event.data.encode(), event)
        elif isinstance(event, BytesMessage):
            self._add(bytes(event.data), event)
        elif isinstance(event, Ping):
            self._outlet.write(self._wire.send(event.response()))
        elif isinstance(event, CloseConnection):
            self._answer_close(event)

    def _add(self, part: bytes, event: Message[Any]) -> None:
        """Add a part of a message; close if it exceeds a limit."""
        if self._lease.num_bytes + len(part) > MAX_BODY_BYTES:
            self.close(TOO_BIG, f"A message has at most {MAX_BODY_BYTES} bytes.")
            return
        try:
            self._lease.grow(len(part))
        except OverloadedError:
            self.close(TRY_AGAIN_LATER, "Too many bytes of messages in flight.")
            return
        if part:
            self._parts.append(part)
        if event.message_finished:
            self._complete()

    def _complete(self) -> None:
        message = ReceivedMessage(b"".join(self._parts), self._lease)
        self._parts, self._lease = [], self._budget.lease(self._outlet.client)
        self._unread.append(message)
        self._waiting = [one for one in (*self._waiting, message) if one.is_waiting]
        num_bytes = sum(message.lease.num_bytes for message in self._waiting)
        limit = MAX_WAITING if num_bytes <= LARGE_BYTES else MAX_LARGE_WAITING
        if len(self._waiting) > limit:
            self.close(POLICY_VIOLATION, f"At most {limit} requests may wait.")
        self._wake()

    def _count_frame(self) -> None:
        if self._received_at - self._second_began_at > 1:
            self._second_began_at, self._num_frames = self._received_at, 0
        self._num_frames += 1
        if self._num_frames > MAX_FRAMES_PER_S:
            self.close(POLICY_VIOLATION, f"At most {MAX_FRAMES_PER_S} frames per second.")

    def _answer_close(self, event: CloseConnection) -> None:
        """Answer the client's close, or end a connection that violates the protocol."""
        if self._wire.state is ConnectionState.OPEN:
            self.close(event.code)
        elif self._wire.state is ConnectionState.REMOTE_CLOSING:
            self.has_client_closed = True
            self._outlet.write(self._wire.send(event.response()))
            self._end()

    def _ping(self) -> None:
        if time.monotonic() - self._received_at > SILENCE_S:
            self._outlet.drop()
        elif not self._is_closed:
            self._outlet.write(self._wire.send(Ping()))

    def _check_open(self) -> None:
        if self._is_closed:
            raise SocketClosedError

    def _end(self) -> None:
        self._is_closed = True
        self._wake()
        if self._session is not None and self._session is not asyncio.current_task():
            self._session.cancel()  # it may wait for an event that comes late

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
