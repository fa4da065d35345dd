"""Whether the client of a request is still there, while nothing is sent to it."""

import select
import socket

from flask import request

LISTEN_S = 0.5
"""How often a waiting request looks whether its client is still there."""


def connection_of_request() -> socket.socket | None:
    """The client's connection, where the server tells."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return connection


def is_closed(connection: socket.socket | None) -> bool:
    """Whether the peer has closed: it then reads as ready with nothing to read."""
    if connection is None:
        return False
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
