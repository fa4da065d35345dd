"""Plain HTTP with a deadline on everything; a client that trusts nothing but what it read."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tests.chaos.journal import Received

ANSWER_S = 25.0
"""More than the 15 s between two keep-alive comments: what is silent longer is dead."""

PATH = "/v1/responses"
Unreachable = (OSError, http.client.HTTPException)
"""What a request ends with when the server, or the way to it, is gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    body: dict[str, Any]
    retry_after: str | None


class Http:
    """Requests to one API; every one on a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send and read whole; raises `Unreachable`."""
        with self._sent(method, path, body, headers) as response:
            return _read(response)

    @contextmanager
    def stream(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Iterator[Answer | Iterator[Received | None]]:
        """Send; yields the events of the stream (None: keep-alive), or the answer."""
        with self._sent(method, path, body, headers) as response:
            is_stream = response.getheader("content-type", "").startswith("text/event-stream")
            yield _events(response) if is_stream else _read(response)

    @contextmanager
    def _sent(
        self, method: str, path: str, body: object, headers: dict[str, str] | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        try:
            data = None if body is None else orjson.dumps(body)
            connection.request(
                method, path, data, {"content-type": "application/json", **(headers or {})}
            )
            yield connection.getresponse()
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse) -> Answer:
    data = response.read()
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = {"not JSON": data[:200].decode(errors="replace")}
    return Answer(response.status, body, response.getheader("retry-after"))


def _events(response: http.client.HTTPResponse) -> Iterator[Received | None]:
    """Events until `[DONE]`, None for each keep-alive; without `[DONE]` it was cut off."""
    kind = ""
    while line := response.readline():
        if line.startswith(b"event: "):
            kind = line[7:].strip().decode()
        elif line.startswith(b": keep-alive"):
            yield None
        elif line.startswith(b"data: [DONE]"):
            return
        elif line.startswith(b"data: "):
            yield Received(time.monotonic(), kind, line[6:].strip())
    raise ConnectionResetError("the stream was cut off")
