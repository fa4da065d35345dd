"""Server of one process: accepts connections, runs their requests and keeps the limits."""

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import h11

from api.access.door import Door
from api.event_loop.loop import EventLoop
from api.http.body_budget import ORDINARY_BYTES, BodyBudget, handling
from api.http.forwarded import client_network
from api.http.origins import AllowedOrigins
from api.http.strict_json import BODY_LEASE
from api.limits.refusal_pace import RefusalPace
from api.serving.connection import RECEIVING, Connection, Phase
from api.serving.error_answer import error_body, error_headers
from api.serving.exchange import Exchange
from api.serving.handshakes import Handshakes
from api.serving.limits import ServingLimits
from api.serving.malloc import trim_heap
from api.serving.wsgi_call import Answer, Headers, WsgiApp, call_app
from api.streaming.client_disconnect import CLIENT_HAS_LEFT
from models.errors import AppError, TooManyStreamsError

logger = logging.getLogger(__name__)

_IMMEDIATE_PATH = "/livez"
"""Path that is answered in the loop itself: it waits for nothing, least of all for a thread."""
_CONTROL_PATHS = ("/readyz",)
_ACCEPTED_AT_ONCE = 16
"""Connections accepted before others are served. One at a time, each would wait for the others'
threads, and the last of a burst of 500 a second."""
_BUSY = (Phase.ANSWER, Phase.FLUSHING)


class HttpServer:
    """Connections of one process; all but `start` and `stop` is called in the loop alone."""

    def __init__(
        self,
        app: WsgiApp,
        loop: EventLoop,
        budget: BodyBudget,
        limits: ServingLimits,
        origins: AllowedOrigins,
        door: Door,
    ) -> None:
        """Create a server of `app`; pages of `origins` may read what it answers without the app."""
        self.limits = limits
        self._door = door
        self._pace = RefusalPace()
        self.origins = origins
        self._app = app
        self._loop = loop
        self._budget = budget
        self._listeners: Sequence[socket.socket] = ()
        self._handshakes: Handshakes | None = None
        self.connections: set[Connection] = set()
        """All that are open."""
        self._receiving: dict[Connection, None] = {}
        """Connections that may be closed for others, in the order in which they began to wait."""
        self._by_client: Counter[str] = Counter()
        self._num_returned = 0
        self.swept_at = time.monotonic()
        """Monotonic time of the last check of all connections, which shows that the loop runs."""

    def start(self, listeners: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Accept connections from now on, all of them with TLS if there is a context for it."""
        self._listeners = listeners
        self._handshakes = Handshakes(tls, self.limits) if tls is not None else None
        self._loop.call_soon(self._start)

    def stop(self, grace_s: float) -> None:
        """Accept no more, and return once all answers are sent or after `grace_s` seconds."""
        with suppress(TimeoutError):
            self._loop.spawn(self._stop()).result(grace_s)

    def admit(self, connection: Connection) -> None:
        """Add a connection; raise an `AppError` if its client has too many of them."""
        self.connections.add(connection)
        self._count(connection, client_network(connection.peers.client[0]))
        self._receiving[connection] = None
        if len(self.connections) > self.limits.max_connections:
            next(iter(self._receiving)).abort()

    def forget(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self.connections.discard(connection)
        self._receiving.pop(connection, None)
        self._uncount(connection)

    def note_phase(self, connection: Connection) -> None:
        """Note that a connection has begun to wait, or no longer waits, for a request."""
        if connection.phase not in RECEIVING:
            self._receiving.pop(connection, None)
        elif connection.phase is not Phase.BODY:
            self._receiving.pop(connection, None)
            self._receiving[connection] = None

    def begin(self, connection: Connection, request: h11.Request) -> Exchange:
        """Return the exchange of a request whose head has arrived."""
        entry = self._door.enter(connection.peers.client[0], request)
        if entry.key_id is not None:
            self._uncount(connection)
            self._count(connection, entry.key_id)
        if entry.refusal is not None:
            connection.refuse_after(self._pace.delay_s(entry.client))
            raise entry.refusal
        lease = self._budget.lease(entry.client)
        return Exchange(connection, request, entry.source, entry.client, lease)

    def dispatch(self, connection: Connection, exchange: Exchange) -> None:
        """Run a request in a thread, and answer it in the loop."""
        environ = exchange.environ(connection.peers)
        environ[CLIENT_HAS_LEFT] = connection.has_left
        if environ["PATH_INFO"] == _IMMEDIATE_PATH and exchange.num_body_bytes <= ORDINARY_BYTES:
            connection.respond(self._call(environ))
        else:
            self._submit(exchange, environ, partial(self._run, connection, environ))

    def _submit(
        self, exchange: Exchange, environ: dict[str, Any], run: Callable[[], object]
    ) -> None:
        path = environ["PATH_INFO"]
        if exchange.num_body_bytes > ORDINARY_BYTES:
            self._loop.large.submit(run)
        elif path in _CONTROL_PATHS or path.endswith("/cancel"):
            self._loop.control.submit(run)
        else:
            self._loop.requests.submit_for(exchange.client, run)

    def _count(self, connection: Connection, client: str) -> None:
        """Count a connection for a client; raise an `AppError` if that has too many of them."""
        connection.client = client
        self._by_client[client] += 1
        is_over = self._by_client[client] > self.limits.max_client_connections
        # A proxy keeps connections for any of its clients.
        if is_over and not self._door.proxies.trusts(connection.peers.client[0]):
            raise TooManyStreamsError("Too many connections of this client; close some.")

    def _uncount(self, connection: Connection) -> None:
        self._by_client[connection.client] -= 1
        if not self._by_client[connection.client]:
            del self._by_client[connection.client]

    def _run(self, connection: Connection, environ: dict[str, Any]) -> None:
        self._loop.call_soon(connection.respond, self._call(environ))

    def _call(self, environ: dict[str, Any]) -> Answer:
        try:
            with handling(environ[BODY_LEASE]):
                return call_app(self._app, environ)
        except Exception:
            logger.exception("request failed")
            return _failure(self.origins.cors_headers(environ.get("HTTP_ORIGIN")))

    def _start(self) -> None:
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.loop.add_reader(listener, self._accept, listener)
        self._sweep()

    def _accept(self, listener: socket.socket) -> None:
        """Accept connections that wait, some at a time: other processes accept them, too."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                logger.warning("connection not accepted", extra={"error": str(error)})
                return
            with suppress(OSError):
                accepted.setblocking(False)
                size = self.limits.send_buffer_bytes
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            self._loop.loop.create_task(self._connect(accepted, address[0]))

    async def _connect(self, accepted: socket.socket, address: str) -> None:
        if self._handshakes is not None:
            await self._handshakes.run(lambda: Connection(self), accepted, client_network(address))
            return
        with suppress(OSError):
            await self._loop.loop.connect_accepted_socket(lambda: Connection(self), accepted)

    def _sweep(self) -> None:
        self.swept_at = now = time.monotonic()
        for connection in list(self.connections):
            connection.check(now)
        self._trim_heap()
        self._loop.loop.call_later(self.limits.sweep_s, self._sweep)

    def _trim_heap(self) -> None:
        """Return the memory of large bodies that were handled since the last time."""
        if self._budget.num_large_returned > self._num_returned:
            self._num_returned = self._budget.num_large_returned
            self._loop.run_later(trim_heap)

    async def _stop(self) -> None:
        for listener in self._listeners:
            self._loop.loop.remove_reader(listener)
        for connection in list(self._receiving):
            connection.close()
        while any(connection.phase in _BUSY for connection in self.connections):
            await asyncio.sleep(0.05)


def _failure(headers: Headers) -> Answer:
    error = AppError("The server failed to answer this request.")
    return Answer("500 Internal Server Error", [*error_headers(error), *headers], error_body(error))
