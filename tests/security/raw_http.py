"""Bytes of clients that do as they like, and what comes back."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOST = b"Host: localhost\r\n"
HANDSHAKE = (
    b"GET /v1/responses HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextmanager
def connected(address: str, timeout_s: float = 10) -> Iterator[socket.socket]:
    """Connect to `host:port`."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout_s) as connection:
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """Return what is sent until the connection ends; a reset also ends it."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionError:
        pass
    return received


def ask(address: str, request: bytes) -> bytes:
    """Send bytes, and return the whole answer of a server that then closes."""
    with connected(address) as connection:
        connection.sendall(request)
        return read_to_end(connection)


def read_head(connection: socket.socket) -> bytes:
    """Read up to the end of the headers, a byte at a time so that nothing more is taken."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += connection.recv(1)
    return received


def status_of(answer: bytes) -> int:
    """Return the status of an HTTP answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer.split(b" ", 2)[1])


def error_in(answer: bytes) -> dict[str, Any]:
    """Return the error of an answer, which must be small and have the one format."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nx-request-id: " in head, head
    assert b"\r\ncontent-type: application/json" in head.lower(), head
    assert len(answer) < 1500
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def is_open(connection: socket.socket) -> bool:
    """Return True unless the peer has closed; there must be nothing to read."""
    timeout_s = connection.gettimeout()
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        connection.settimeout(timeout_s)


def frame(payload: bytes, *, opcode: int = 1, is_last: bool = True, rsv1: bool = False) -> bytes:
    """Return a masked WebSocket frame (RFC 6455 §5.2), its mask zero."""
    first = (0x80 if is_last else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack("!Q", size)
    return bytes([first]) + length + bytes(4) + payload


@contextmanager
def open_websocket(address: str, extra: bytes = b"") -> Iterator[socket.socket]:
    """Open a WebSocket; yield its connection behind the handshake."""
    with connected(address) as connection:
        connection.sendall(HANDSHAKE.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n", 1))
        head = read_head(connection)
        assert status_of(head) == 101, head
        yield connection


def close_code(received: bytes) -> int:
    """Return the code of the close frame with which what was received ends."""
    position = 0
    while position < len(received):
        opcode, length = received[position] & 0xF, received[position + 1]
        position += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(received[position : position + size])
            position += size
        if opcode == 8:
            return int.from_bytes(received[position : position + 2])
        position += length
    raise AssertionError(f"no close frame in {received[:200]!r}")
