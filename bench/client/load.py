"""Load generator light enough to share the server's cores: plain sockets, no parsing meanwhile.

Handles just enough HTTP for answers with a Content-Length; streams are in `bench.client.streams`.
"""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

Address = tuple[str, int]

ANSWER_S = 120.0
"""Seconds to wait for an answer before the run is aborted."""
_RECEIVE = 1 << 16
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


@dataclass(slots=True, kw_only=True)
class Answers:
    """Answers received in one run, and their latencies."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    num_failed: int = 0
    """Number of answers with a status other than 200; `bodies` does not include them."""

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return len(self.bodies) / self.seconds


@dataclass(slots=True)
class _Exchange:
    """Request in flight on one connection."""

    sent_at: float
    received: bytes = b""


def post_request(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON on a keep-alive connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get_request(path: str) -> bytes:
    """Return the bytes of a GET on a keep-alive connection."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def run_closed_loop(
    address: Address, requests: Iterator[bytes], *, num_connections: int, seconds: float
) -> Answers:
    """Keep every connection busy for `seconds`: each sends its next request once it is answered.

    Raises `TimeoutError` if no answer comes within `ANSWER_S`, and `ConnectionError` if the server
    closes a connection.
    """
    answers = Answers()
    with selectors.DefaultSelector() as selector:
        began = time.monotonic()
        for _ in range(num_connections):
            connection = socket.create_connection(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            _send(selector, connection, next(requests))
        while selector.get_map():
            for connection in _readable(selector):
                if not _receive(selector, connection, answers):
                    continue
                if time.monotonic() - began < seconds:
                    _send(selector, connection, next(requests))
                else:
                    selector.unregister(connection)
                    connection.close()
        answers.seconds = time.monotonic() - began
    return answers


def _send(selector: selectors.BaseSelector, connection: socket.socket, request: bytes) -> None:
    selector.modify(connection, selectors.EVENT_READ, _Exchange(time.monotonic()))
    connection.sendall(request)


def _readable(selector: selectors.BaseSelector) -> list[socket.socket]:
    ready = selector.select(ANSWER_S)
    if not ready:
        raise TimeoutError(f"no answer for {ANSWER_S:.0f} s")
    sockets = [key.fileobj for key, _ in ready]
    return [connection for connection in sockets if isinstance(connection, socket.socket)]


def _receive(selector: selectors.BaseSelector, connection: socket.socket, answers: Answers) -> bool:
    """Receive what has arrived; return True if that completes the answer."""
    exchange: _Exchange = selector.get_key(connection).data
    data = connection.recv(_RECEIVE)
    if not data:
        raise ConnectionError("the server closed a connection that was to stay open")
    exchange.received += data
    body = _body(exchange.received)
    if body is None:
        return False
    answers.latencies_s.append(time.monotonic() - exchange.sent_at)
    if exchange.received.startswith(b"HTTP/1.1 200"):
        answers.bodies.append(body)
    else:
        answers.num_failed += 1
    return True


def _body(received: bytes) -> bytes | None:
    """Return the body, or None until all of it has arrived."""
    head, end, body = received.partition(_HEAD_END)
    if not end:
        return None
    length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
    return body if len(body) >= int(length) else None
