"""WebSocket client of the tests: frames that it sends, and the turns that it reads."""

from collections.abc import Callable
from typing import Any

import orjson
from simple_websocket import Client

from tests.polling import PATIENCE_S

Connect = Callable[..., Client]
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")
NOT_FOUND = "previous_response_not_found"


class PromptClient(Client):  # type: ignore[misc]
    """Client that also reads what comes in one piece with the server's acceptance.

    The library leaves it unread, and loses it if the server has closed the connection by then.
    """

    def handshake(self) -> None:
        """Connect, and receive the messages that are there already."""
        super().handshake()
        self._handle_events()
        self.connected = True  # until they have been read


def send(socket: Client, **body: Any) -> None:
    frame = {"type": "response.create", "input": "Hello.", "store": False} | body
    socket.send(orjson.dumps(frame).decode())


def receive(socket: Client) -> dict[str, Any]:
    frame = socket.receive(timeout=PATIENCE_S)
    assert isinstance(frame, str), "no frame came"
    event: dict[str, Any] = orjson.loads(frame)
    return event


def read_turn(socket: Client) -> list[dict[str, Any]]:
    """Read the events of one response, or the one error that is sent instead."""
    events = [receive(socket)]
    while events[-1]["type"] not in TERMINAL:
        events.append(receive(socket))
    return events


def run_turn(socket: Client, **body: Any) -> dict[str, Any]:
    """Send a turn that must complete; return its response."""
    send(socket, **body)
    end = read_turn(socket)[-1]
    assert end["type"] == "response.completed", end
    response: dict[str, Any] = end["response"]
    return response


def run_refused_turn(socket: Client, **body: Any) -> dict[str, Any]:
    """Send a turn that must be refused; return its error."""
    send(socket, **body)
    [frame] = read_turn(socket)
    assert set(frame) == {"type", "status", "error"}
    assert isinstance(frame["error"]["code"], str)
    assert frame["error"]["message"]
    error: dict[str, Any] = {"status": frame["status"], **frame["error"]}
    return error
