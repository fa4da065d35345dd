"""Answers that the event loop sends, so that they occupy no thread while they wait."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from flask import Response

Receiver = Callable[[bytes], None]
"""Function that takes the bytes of an upgraded connection as they arrive."""


CleanUp = Callable[[bool], object]
"""Function of a foreground request that is called in a thread at its end; True cancels."""


class Outlet(Protocol):
    """Connection to the client of one request; used in the event loop alone."""

    @property
    def client(self) -> str:
        """Client as limits count it: its key, or its address or network if that is not known."""

    @property
    def is_dropped(self) -> bool:
        """True if the server has ended the connection, because its client does not keep up."""

    def answer(self, data: bytes) -> None:
        """Send the headers and the whole body."""

    def begin(self) -> None:
        """Send the headers; the body follows in pieces."""

    def write(self, data: bytes) -> None:
        """Send a piece of the body, or of an upgraded connection."""

    async def drain(self) -> None:
        """Wait while the client is behind."""

    def upgrade(self, headers: Sequence[tuple[str, str]], receive: Receiver) -> None:
        """Switch protocols: from now on `receive` is called with all that arrives."""

    def drop(self) -> None:
        """End the connection of a client that does not keep up."""

    def abort(self) -> None:
        """End the connection at once, as if the client had left."""


class LoopBody(ABC):
    """Body of a WSGI answer that a coroutine sends.

    A view returns it as the only content of a response with `direct_passthrough`, and reserves
    nothing for it: it may never be sent. Its coroutine is cancelled when the client leaves. Until
    it has sent something, it may raise an `AppError`, which is then the answer.
    """

    @abstractmethod
    async def send(self, outlet: Outlet) -> None:
        """Send the body."""

    @abstractmethod
    def abandon(self) -> None:
        """Clean up instead of `send`: the client left before it was called."""


def respond_with(body: LoopBody, mimetype: str = "application/json") -> Response:
    """Return a response whose body the event loop sends."""
    return Response(body, mimetype=mimetype, direct_passthrough=True)  # type: ignore[arg-type]
