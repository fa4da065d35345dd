"""Detection of a client that has left while a thread works on its request."""

from collections.abc import Callable
from typing import cast

from flask import has_request_context, request

from models.errors import AppError

CLIENT_HAS_LEFT = "antiphon.client_has_left"
"""Key of the WSGI environment: a function that returns True once the client has disconnected."""


class ClientGoneError(AppError):
    """The client closed the connection before its answer."""


def find_client_check() -> Callable[[], bool]:
    """Return the function that tells if the current request's client has left."""
    check = request.environ.get(CLIENT_HAS_LEFT) if has_request_context() else None
    return cast(Callable[[], bool], check or _is_never_gone)


def _is_never_gone() -> bool:
    return False
