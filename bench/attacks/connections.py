"""Raw connections of an attacker: requests that are slow, unfinished or unread."""

import base64
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

Address = tuple[str, int]

_JSON = "Content-Type: application/json\r\n"
_TIMEOUT_S = 60.0
_CHUNK = 1 << 16


def post(address: Address, path: str, body: bytes) -> int:
    """Send a POST of JSON; return the status, or 0 if the connection is closed without one."""
    with suppress(OSError), socket.create_connection(address, _TIMEOUT_S) as connection:
        with suppress(OSError):  # an answer may come before all of the body is read
            connection.sendall(_head("POST", path, len(body)) + body)
        received = connection.recv(_CHUNK)
        return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/") else 0
    return 0


def get(address: Address, path: str) -> int:
    """Send a GET, read all of the answer; return the status, or 0 as `post` does."""
    with suppress(OSError), socket.create_connection(address, _TIMEOUT_S) as connection:
        connection.sendall(_head("GET", path))
        received = b"".join(iter(lambda: connection.recv(_CHUNK), b""))
        return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/") else 0
    return 0


def open_unfinished(address: Address, sent: bytes, length: int) -> socket.socket:
    """Open a POST that announces `length` bytes and sends `sent`; the rest is for the caller."""
    connection = socket.create_connection(address, _TIMEOUT_S)
    with suppress(OSError):
        connection.sendall(_head("POST", "/v1/responses", length) + sent)
    return connection


def open_stream(address: Address, body: bytes) -> socket.socket:
    """Open a stream with a receive buffer so small that the server's writes soon block."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(_TIMEOUT_S)
    connection.connect(address)
    connection.sendall(_head("POST", "/v1/responses", len(body)) + body)
    return connection


def open_websocket(address: Address, *, deflates: bool = False) -> socket.socket:
    """Open a WebSocket on /v1/responses; the answer to the handshake is read."""
    connection = socket.create_connection(address, _TIMEOUT_S)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["Upgrade: websocket", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    if deflates:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate")
    head = "GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    connection.sendall((head + "\r\n".join(lines) + "\r\n\r\n").encode())
    connection.recv(_CHUNK)
    return connection


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


def open_many(open_one: Callable[[], socket.socket], number: int) -> list[socket.socket]:
    """Open connections, up to `number`; those that are refused are left out."""
    opened = []
    for _ in range(number):
        with suppress(OSError):
            opened.append(open_one())
    return opened


def drip(connections: Sequence[socket.socket], *, every_s: float, until: float) -> None:
    """Send a byte on each connection every `every_s` seconds, until a monotonic time."""
    while time.monotonic() < until:
        for connection in connections:
            with suppress(OSError):
                connection.setblocking(False)
                connection.send(b" ")
        time.sleep(max(0.0, min(every_s, until - time.monotonic())))


def _head(method: str, path: str, length: int = 0) -> bytes:
    body = f"{_JSON}Content-Length: {length}\r\n" if method == "POST" else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{body}\r\n".encode()
    )
