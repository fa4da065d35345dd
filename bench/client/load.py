"""A load generator light enough to share the server's cores: plain sockets, no parsing underway.

Speaks just enough HTTP for answers with a Content-Length; streams are in `bench.client.streams`.
"""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

Address = tuple[str, int]

ANSWER_S = 120.0
"""How long an answer may take before the run is given up."""
_RECEIVE = 1 << 16
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came back in one run."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    num_failed: int = 0
    """Answers with another status than 200; they are not among the bodies."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.bodies) / self.seconds


@dataclass(slots=True)
class _Exchange:
    """One connection's request that is underway."""

    sent_at: float
    received: bytes = b""


def post_request(path: str, body: bytes) -> bytes:
    """The bytes of a POST of JSON on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get_request(path: str) -> bytes:
    """The bytes of a GET on a connection that stays open."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def run_closed_loop(
    address: Address, requests: Iterator[bytes], *, num_connections: int, seconds: float
) -> Answers:
    """Keep every connection busy for `seconds`: each sends its next request when it is answered.

    Raises `TimeoutError` when no answer comes any more.
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
    return [each for each in sockets if isinstance(each, socket.socket)]


def _receive(selector: selectors.BaseSelector, connection: socket.socket, answers: Answers) -> bool:
    """Take what has come; True if that completes the answer."""
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
    """The body once all of it is there."""
    head, end, body = received.partition(_HEAD_END)
    if not end:
        return None
    length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
    return body if len(body) >= int(length) else None
