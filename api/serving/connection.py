"""One connection: receives requests, has them answered one at a time, and keeps to the limits."""

import asyncio
import logging
import socket
import struct
import time
from contextlib import suppress
from enum import StrEnum
from typing import Protocol, cast

import h11

from api.event_loop.loop_body import LoopBody, Receiver
from api.http.origins import AllowedOrigins
from api.http.protocol_errors import HeadTooLargeError, MalformedRequestError, RequestTimeoutError
from api.metrics.http import NO_ROUTE, count_answer
from api.serving.environ import Peers
from api.serving.error_answer import format_error
from api.serving.exchange import Exchange
from api.serving.limits import ServingLimits
from api.serving.sender import Sender
from api.serving.wsgi_call import Answer
from models.errors import AppError

logger = logging.getLogger(__name__)


class Phase(StrEnum):
    """State of a connection."""

    IDLE = "idle"
    """Kept alive between two requests."""
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    UPGRADED = "upgraded"
    FLUSHING = "flushing"
    """Answered for the last time; the rest is being sent."""
    LINGERING = "lingering"
    """Refused; what the client still sends is discarded, so that it can read why."""


RECEIVING = (Phase.IDLE, Phase.HEAD, Phase.BODY)
"""Phases in which requests are taken, and in which a connection may be closed for others."""


class Host(Protocol):
    """Server of a connection."""

    limits: ServingLimits
    origins: AllowedOrigins

    def admit(self, connection: "Connection") -> None:
        """Add a connection; raise an `AppError` if its client has too many of them."""

    def forget(self, connection: "Connection") -> None:
        """Remove a connection that is closed."""

    def note_phase(self, connection: "Connection") -> None:
        """Note that a connection has begun to wait, or no longer waits, for a request."""

    def begin(self, connection: "Connection", request: h11.Request) -> Exchange:
        """Return the exchange of a request whose head has arrived."""

    def dispatch(self, connection: "Connection", exchange: Exchange) -> None:
        """Run a request in a thread, and answer it in the loop."""


class Connection(asyncio.Protocol):
    """Connection of the event loop; its methods are called in the loop alone."""

    __slots__ = (
        "_began_at",
        "_exchange",
        "_h11",
        "_has_ended",
        "_is_streaming",
        "_is_tls",
        "_num_ahead",
        "_receive",
        "_refusal_delay_s",
        "_request",
        "_server",
        "_transport",
        "client",
        "is_dropped",
        "peers",
        "phase",
        "sender",
    )

    def __init__(self, server: Host) -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, server.limits.head_bytes)
        self._request: h11.Request | None = None
        """Request of which the head has arrived, until it is answered."""
        self._exchange: Exchange | None = None
        self._receive: Receiver | None = None
        self._num_ahead = 0
        self._refusal_delay_s = 0.0
        self._is_streaming = False
        self._has_ended = False
        """True if the client will send nothing more."""
        self.client = ""
        """Client that the server counts it for: an address, or the key of its last request."""
        self.is_dropped = False
        self._began_at = time.monotonic()
        self.phase = Phase.HEAD

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to receive, unless this client has too many connections."""
        self._transport = cast(asyncio.Transport, transport)
        self.sender = Sender(self._transport, self._server.limits.write_ahead_bytes)
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self.peers = Peers(
            _address(self._transport, "peername"),
            _address(self._transport, "sockname"),
            self._is_tls,
        )
        try:
            self._server.admit(self)
        except AppError as error:
            self._refuse(error)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.phase is Phase.UPGRADED:
            assert self._receive is not None
            self._receive(data)
        elif self.phase not in (Phase.FLUSHING, Phase.LINGERING):
            self._h11.receive_data(data)
            is_behind = self.phase is Phase.IDLE and self.sender.is_paused
            if self.phase is Phase.ANSWER or is_behind:
                self._count_ahead(len(data))
            else:
                self._advance()

    def eof_received(self) -> bool:
        """Close, unless a thread is working on an answer, which a client may still await.

        A client that ends TLS awaits none: asyncio knows no half-closed TLS connections.
        """
        is_awaited = self.phase is Phase.ANSWER and not self._is_streaming and not self._is_tls
        if is_awaited:
            self._has_ended = True
            self._h11.receive_data(b"")
        return is_awaited

    def connection_lost(self, error: Exception | None) -> None:
        """End whatever is still done for the client."""
        self._server.forget(self)
        if self._exchange is not None:
            self._exchange.cancel()

    def pause_writing(self) -> None:
        """Note that the client is behind."""
        self.sender.pause()

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        self.sender.resume()
        if self.phase is Phase.IDLE:
            self._go_on()

    def check(self, now: float) -> None:
        """Close the connection if it has exceeded a limit of time."""
        limits = self._server.limits
        waited_s = now - self._began_at
        if self.phase is Phase.IDLE and waited_s > limits.keep_alive_s:
            self.close()
        elif self.phase is Phase.HEAD and waited_s > limits.head_s:
            self._refuse(RequestTimeoutError())
        elif self.phase is Phase.BODY:
            assert self._exchange is not None
            if now > limits.body_deadline(self._began_at, self._exchange.num_body_bytes):
                self._refuse(RequestTimeoutError())
        elif self.phase is Phase.LINGERING and waited_s > limits.linger_s:
            self.abort()
        if self.sender.is_stalled(now, limits.stall_s):
            self.drop()

    def has_left(self) -> bool:
        """Return True if the client has closed its side; any thread may ask."""
        return self._has_ended or self._transport.is_closing()

    def refuse_after(self, seconds: float) -> None:
        """Let the refusal of the current request be answered later."""
        self._refusal_delay_s = seconds

    def respond(self, answer: Answer) -> None:
        """Send the app's answer to the current request."""
        assert self._exchange is not None
        is_streaming = isinstance(answer.body, LoopBody)
        if self._transport.is_closing():
            self._exchange.abandon(answer)
        elif self._has_ended and is_streaming:
            self._exchange.abandon(answer)
            self.close()
        else:
            self._is_streaming = is_streaming
            self._exchange.respond(answer)

    def send_head(self, head: h11.Response, data: bytes) -> None:
        """Send the headers and the body, or the beginning of it."""
        head_bytes = self._h11.send(head) or b""
        self.sender.write(head_bytes + self._frame(data))

    def send_data(self, data: bytes) -> None:
        """Send a piece of the body, or of an upgraded connection."""
        if not self._transport.is_closing():
            self.sender.write(data if self.phase is Phase.UPGRADED else self._frame(data))

    def finish(self) -> None:
        """End the answer, and go on with the next request or close."""
        if self._transport.is_closing():
            return
        self._request = self._exchange = None
        self._is_streaming = False
        if self.phase is Phase.UPGRADED:
            self._linger()
            return
        if end := self._h11.send(h11.EndOfMessage()):
            self.sender.write(end)
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self.close()
            return
        self._h11.start_next_cycle()
        self._enter(Phase.IDLE)
        self._go_on()

    def upgrade(self, head: h11.InformationalResponse, receive: Receiver) -> None:
        """Switch protocols."""
        self.sender.write(self._h11.send(head) or b"")
        self._enter(Phase.UPGRADED)
        self._receive = receive
        ahead, _ = self._h11.trailing_data
        if ahead:
            receive(ahead)

    def close(self) -> None:
        """Close once everything is sent."""
        self._enter(Phase.FLUSHING)
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def drop(self) -> None:
        """End the connection of a client that does not keep up."""
        self.is_dropped = True
        # Reset, or the kernel would keep what was not taken, and try for minutes to send it.
        with suppress(OSError):
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def _go_on(self) -> None:
        """Take the next request, once the client has taken most of the last answer."""
        if self.sender.is_paused:
            return
        if self._num_ahead:
            self._num_ahead = 0
            self._transport.resume_reading()
            self._enter(Phase.HEAD)
        self._advance()

    def _advance(self) -> None:
        """Act on what has been received so far."""
        try:
            # Only until a request is whole: behind the last of a connection there may be anything.
            while self.phase in RECEIVING and isinstance(
                event := self._h11.next_event(), h11.Event
            ):
                self._take(event)
        except h11.RemoteProtocolError as error:
            is_head = error.error_status_hint == 431
            self._refuse(HeadTooLargeError() if is_head else _malformed(error))
        except AppError as error:
            self._refuse_in_time(error)
        else:
            self._await_more()

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.Request):
            self._request = event
            if _head_bytes(event) > self._server.limits.head_bytes:
                raise HeadTooLargeError
            self._enter(Phase.BODY)
            self._exchange = self._server.begin(self, event)
        elif isinstance(event, h11.Data):
            assert self._exchange is not None
            self._exchange.receive(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert self._exchange is not None
            self._enter(Phase.ANSWER)
            self._server.dispatch(self, self._exchange)
        elif isinstance(event, h11.ConnectionClosed):
            self.close()

    def _await_more(self) -> None:
        if self.phase is Phase.IDLE and self._h11.trailing_data[0]:
            self._enter(Phase.HEAD)
        elif self.phase is Phase.BODY and self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self.sender.write(self._h11.send(go_on) or b"")

    def _count_ahead(self, num_bytes: int) -> None:
        self._num_ahead += num_bytes
        if self._num_ahead > self._server.limits.ahead_bytes:
            self._transport.pause_reading()

    def _frame(self, data: bytes) -> bytes:
        return (self._h11.send(h11.Data(data=data)) or b"") if data else b""

    def _refuse_in_time(self, error: AppError) -> None:
        """Answer with an error, at once unless it is to be later."""
        if self._refusal_delay_s == 0.0:
            self._refuse(error)
            return
        # Neither idle nor receiving: what the client sends meanwhile counts as ahead.
        self._enter(Phase.ANSWER)
        asyncio.get_running_loop().call_later(self._refusal_delay_s, self._refuse_if_open, error)

    def _refuse_if_open(self, error: AppError) -> None:
        if not self._transport.is_closing():
            self._refuse(error)

    def _refuse(self, error: AppError) -> None:
        """Answer with an error of the server itself, and close."""
        if self._exchange is not None:
            self._exchange.cancel()
        method = None if self._request is None else self._request.method
        count_answer(method, NO_ROUTE, error.http_status)
        self.sender.write(format_error(error, self._request, self._server.origins))
        self._linger()

    def _linger(self) -> None:
        """Close, but read on for a while: a reset would destroy what was sent last."""
        self._enter(Phase.LINGERING)
        if self._transport.can_write_eof():
            with suppress(OSError):  # the client has left already
                self._transport.write_eof()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._began_at = time.monotonic()
        self._server.note_phase(self)


def _malformed(error: h11.RemoteProtocolError) -> AppError:
    return MalformedRequestError(f"The request is not valid HTTP: {str(error)[:200]}.")


def _head_bytes(request: h11.Request) -> int:
    """Return the size of a head; the parser limits only those that arrive in several pieces."""
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers)
    return len(request.target) + fields


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int]:
    address = transport.get_extra_info(name)
    return (address[0], address[1]) if isinstance(address, tuple) else ("local", 0)
