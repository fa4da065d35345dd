"""One request on a connection and its answer."""

import asyncio
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol

import h11

from api.event_loop.loop_body import LoopBody, Receiver
from api.http.body_budget import BodyLease
from api.http.errors import as_app_error
from api.http.forwarded import Source
from api.http.protocol_errors import RequestTooLargeError
from api.http.received_body import ReceivedBody
from api.http.strict_json import MAX_BODY_BYTES
from api.metrics.http import count_answer
from api.serving.environ import Peers, make_environ
from api.serving.error_answer import error_body, error_headers
from api.serving.sender import Sender
from api.serving.wsgi_call import Answer
from models.errors import AppError

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_HEADERS_OF_BODY = ("content-type", "content-length", "cache-control", "x-accel-buffering")


class Wire(Protocol):
    """Connection of an exchange."""

    peers: Peers
    sender: Sender
    is_dropped: bool

    def send_head(self, head: h11.Response, data: bytes) -> None:
        """Send the headers and the body, or the beginning of it."""

    def send_data(self, data: bytes) -> None:
        """Send a piece of the body, or of an upgraded connection."""

    def finish(self) -> None:
        """End the answer."""

    def upgrade(self, head: h11.InformationalResponse, receive: Receiver) -> None:
        """Switch protocols."""

    def abort(self) -> None:
        """Close at once."""

    def drop(self) -> None:
        """End the connection of a client that does not keep up."""


class Exchange:
    """Request whose body is being received, and the outlet of its answer."""

    __slots__ = (
        "_answer",
        "_body",
        "_connection",
        "_is_begun",
        "_is_sending",
        "_lease",
        "_source",
        "_task",
        "client",
        "request",
    )

    def __init__(
        self,
        connection: Wire,
        request: h11.Request,
        source: Source,
        client: str,
        lease: BodyLease,
    ) -> None:
        """Begin to receive; limits count the request for `client`."""
        self.request = request
        self.client = client
        self._source = source
        self._connection = connection
        self._lease = lease
        self._body = ReceivedBody()
        self._answer: Answer | None = None
        self._is_begun = False
        self._is_sending = False
        self._task: asyncio.Task[None] | None = None
        length = int(dict(request.headers).get(b"content-length", b"0"))
        self._check_size(length)
        lease.check(length)

    @property
    def num_body_bytes(self) -> int:
        """Number of bytes of the body that have arrived."""
        return self._lease.num_bytes

    @property
    def is_dropped(self) -> bool:
        """True if the server has ended the connection, because its client does not keep up."""
        return self._connection.is_dropped

    def receive(self, data: bytes) -> None:
        """Take a piece of the body; raise an `AppError` if it is one too many."""
        self._check_size(self._lease.num_bytes + len(data))
        self._lease.grow(len(data))
        self._body.write(data)

    def environ(self, peers: Peers) -> dict[str, Any]:
        """Return the WSGI environment of the whole request."""
        self._body.seek(0)
        return make_environ(self.request, peers, self._source, self._body, self._lease)

    def respond(self, answer: Answer) -> None:
        """Send the app's answer."""
        self.release_body()
        self._answer = answer
        if isinstance(answer.body, LoopBody):
            self._task = asyncio.get_running_loop().create_task(self._send(answer.body))
        else:
            self.answer(answer.body)
            answer.span.end()
            self._connection.finish()

    def release_body(self) -> None:
        """Give up the request's body."""
        self._body = ReceivedBody()
        self._lease.release()

    def cancel(self) -> None:
        """End the answer early: the client has left, or was dropped."""
        self.release_body()
        if self._task is None:
            return
        self._task.cancel()
        if not self._is_sending and self._answer is not None:
            self.abandon(self._answer)

    def abandon(self, answer: Answer) -> None:
        """Do without the answer: the client left while a thread worked on it."""
        self.release_body()
        answer.span.end()
        if isinstance(answer.body, LoopBody):
            answer.body.abandon()

    def answer(self, data: bytes) -> None:
        """Send the headers and the whole body."""
        assert self._answer is not None
        headers = [*self._answer.headers]
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(data))))
        self._start(int(self._answer.status.split(" ", 1)[0]), headers, data)

    def begin(self) -> None:
        """Send the headers; the body follows in pieces."""
        assert self._answer is not None
        self._start(int(self._answer.status.split(" ", 1)[0]), self._answer.headers)

    def write(self, data: bytes) -> None:
        """Send a piece of the body, or of an upgraded connection."""
        self._connection.send_data(data)

    async def drain(self) -> None:
        """Wait while the client is behind."""
        await self._connection.sender.drain()

    def upgrade(self, headers: Sequence[tuple[str, str]], receive: Receiver) -> None:
        """Switch protocols: from now on `receive` is called with all that arrives."""
        assert self._answer is not None
        kept = [pair for pair in self._answer.headers if pair[0].lower() not in _HEADERS_OF_BODY]
        self._is_begun = True
        count_answer(self.request.method, self._answer.route, HTTPStatus.SWITCHING_PROTOCOLS)
        self._trace_status(HTTPStatus.SWITCHING_PROTOCOLS)
        self._connection.upgrade(
            h11.InformationalResponse(
                status_code=101, headers=_encode([*headers, *kept]), reason=b"Switching Protocols"
            ),
            receive,
        )

    def drop(self) -> None:
        """End the connection of a client that does not keep up."""
        self._connection.drop()

    def abort(self) -> None:
        """End the connection at once, as if the client had left."""
        self._connection.abort()

    async def _send(self, body: LoopBody) -> None:
        self._is_sending = True
        try:
            await body.send(self)
        except Exception as error:
            self._fail(as_app_error(error))
        finally:
            assert self._answer is not None
            self._answer.span.end()
        self._connection.finish()

    def _fail(self, error: AppError) -> None:
        """Answer with an error, or cut an answer off that has begun."""
        assert self._answer is not None
        if self._is_begun:
            self._connection.abort()
            return
        kept = [pair for pair in self._answer.headers if pair[0].lower() not in _HEADERS_OF_BODY]
        names = {name.lower() for name, _ in kept}
        added = [pair for pair in error_headers(error) if pair[0].lower() not in names]
        before = self._answer
        self._answer = Answer(
            str(error.http_status), [*kept, *added], error_body(error), before.route, before.span
        )
        self.answer(error_body(error))

    def _start(self, status: int, headers: Sequence[tuple[str, str]], data: bytes = b"") -> None:
        self._is_begun = True
        assert self._answer is not None
        count_answer(self.request.method, self._answer.route, status)
        self._trace_status(status)
        dated = [*headers, ("Date", formatdate(usegmt=True))]
        reason = _REASONS.get(status, "Error").encode()
        head = h11.Response(status_code=status, headers=_encode(dated), reason=reason)
        self._connection.send_head(head, data)

    def _trace_status(self, status: int) -> None:
        assert self._answer is not None
        self._answer.span.set({"http.response.status_code": int(status)})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._answer.span.fail(str(int(status)))

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > MAX_BODY_BYTES:
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")


def _encode(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
