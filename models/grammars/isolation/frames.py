"""Messages between a process, its fork server and the children: JSON with its length before it."""

import socket
import struct
from typing import Any

import orjson

_HEADER = struct.Struct("!I")


def send_frame(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    content = orjson.dumps(message)
    connection.sendall(_HEADER.pack(len(content)) + content)


def receive_frame(connection: socket.socket) -> dict[str, Any]:
    """Receive one message; raise `EOFError` if the peer closes before its end."""
    [size] = _HEADER.unpack(_receive(connection, _HEADER.size))
    message: dict[str, Any] = orjson.loads(_receive(connection, size))
    return message


def _receive(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = connection.recv(min(size - len(content), 1 << 20))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
