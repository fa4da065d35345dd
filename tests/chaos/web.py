"""Plain HTTP client with a timeout on every operation."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tests.chaos.journal import Received

ANSWER_S = 25.0
"""Seconds without data before a connection counts as dead; keep-alive comments come every 15 s."""

PATH = "/v1/responses"
Unreachable = (OSError, http.client.HTTPException)
"""Exceptions of a request whose server is down or unreachable."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Complete answer."""

    status: int
    body: dict[str, Any]
    retry_after: str | None


class Http:
    """HTTP client of one API, with a new connection per request."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request and read the whole answer; raise `Unreachable`."""
        with self._sent(method, path, body, headers) as response:
            return _read(response)

    @contextmanager
    def stream(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Iterator[Answer | Iterator[Received | None]]:
        """Send a request; yield the events of the stream (None: keep-alive), or the answer."""
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
    """Yield events until `[DONE]`, None for a keep-alive; raise if `[DONE]` is missing."""
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
