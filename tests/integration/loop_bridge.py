"""WSGI middleware by which a test client, which has no event loop, gets what the loop sends."""

import asyncio
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from flask_openapi3.openapi import OpenAPI

from api.event_loop.loop import EventLoop
from api.event_loop.loop_body import LoopBody, Receiver
from api.serving.error_answer import error_body, error_headers
from api.serving.wsgi_call import Answer, Headers, WsgiApp, call_app
from api.streaming.client_disconnect import CLIENT_HAS_LEFT
from models.errors import AppError
from tests.polling import PATIENCE_S

StartResponse = Callable[[str, Headers], object]


def bridge(app: OpenAPI) -> None:
    """Let the app's test clients read streams and waiting answers."""
    app.wsgi_app = _Bridge(app.wsgi_app, app.extensions["antiphon"].loop)  # type: ignore[method-assign, assignment]


class _Bridge:
    def __init__(self, app: Any, loop: EventLoop) -> None:
        self._app: WsgiApp = app
        self._loop = loop

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes] | LoopBody:
        if CLIENT_HAS_LEFT in environ:
            return self._app(environ, start_response)  # of a real server
        answer = call_app(self._app, environ)
        if not isinstance(answer.body, LoopBody):
            start_response(answer.status, answer.headers)
            return [answer.body]
        outlet = _QueueOutlet(answer, environ.get("REMOTE_ADDR", ""))
        task = self._loop.spawn(outlet.run(answer.body))
        begun = outlet.begun.result(PATIENCE_S)
        start_response(begun.status, begun.headers)
        return _Pieces(outlet, task)


class _Pieces:
    """Body that ends the coroutine when it is closed."""

    def __init__(self, outlet: "_QueueOutlet", task: Future[None]) -> None:
        self._outlet = outlet
        self._task = task

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._outlet.pieces.get(timeout=PATIENCE_S)) is not None:
            yield piece

    def close(self) -> None:
        self._task.cancel()


class _QueueOutlet:
    is_dropped = False

    def __init__(self, answer: Answer, client: str) -> None:
        self._answer = answer
        self.client = client
        self.begun: Future[Answer] = Future()
        self.pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    async def run(self, body: LoopBody) -> None:
        try:
            await body.send(self)
        except AppError as error:
            headers = [pair for pair in self._answer.headers if pair[0].lower() != "content-type"]
            headers += error_headers(error)
            self.begun.set_result(Answer(f"{error.http_status} Error", headers, b""))
            self.write(error_body(error))
        finally:
            self.pieces.put(None)

    def answer(self, data: bytes) -> None:
        self.begin()
        self.write(data)

    def begin(self) -> None:
        self.begun.set_result(self._answer)

    def write(self, data: bytes) -> None:
        self.pieces.put(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def upgrade(self, headers: Sequence[tuple[str, str]], receive: Receiver) -> None:
        raise AssertionError("a test client cannot upgrade")

    def drop(self) -> None:
        raise AssertionError("a test client is never dropped")

    def abort(self) -> None:
        raise AssertionError("the key of a test client is not revoked")
