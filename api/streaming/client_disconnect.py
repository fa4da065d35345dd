"""Detection of a closed client connection while nothing is sent on it."""

import select
import socket

from flask import request

from models.errors import AppError


class ClientGoneError(AppError):
    """The client closed the connection before its answer."""


def get_client_socket() -> socket.socket | None:
    """Return the client's socket, or None if the server does not expose it."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return connection


def is_closed(connection: socket.socket | None) -> bool:
    """Return True if the peer has closed: the socket is then readable, but without data."""
    if connection is None:
        return False
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
