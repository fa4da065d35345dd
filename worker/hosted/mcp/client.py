"""Client of MCP servers: lists and calls tools from task threads, over streamable HTTP.

The `mcp` package is asynchronous and takes a second to import: it is imported, and its event loop
started, when the first server is called.
"""

import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from models.tools.mcp.servers import McpEndpoint
from worker.hosted.mcp.connection import McpConnection, McpTimeouts, connected
from worker.hosted.mcp.errors import AbandonedError, McpServerError, server_errors

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

logger = logging.getLogger(__name__)

_POLL_S = 0.1
"""Seconds between two checks that the answer is still wanted."""

T = TypeVar("T")
IsAbandoned = Callable[[], bool]
"""Function that returns True once nobody waits for the answer any more."""


class McpClient:
    """Client of any number of servers; thread-safe."""

    def __init__(self, timeouts: McpTimeouts | None = None) -> None:
        """Create a client; nothing is imported or started yet."""
        self._timeouts = timeouts or McpTimeouts()
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def session(self, endpoint: McpEndpoint, *, owner: str) -> "McpSession":
        """Return a session with a server for one thread; it connects when it is first used.

        `owner` is whom name look-ups are made for.
        """
        return McpSession(self._loop(), endpoint, self._timeouts, owner=owner)

    def close(self) -> None:
        """End the event loop; no session may be in use."""
        with self._lock:
            self._stack.close()
            self._portal = None

    def _loop(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                self._portal = self._stack.enter_context(start_blocking_portal())
            return self._portal


class McpSession:
    """Session with one server, used by one thread; after a failure it connects again."""

    def __init__(
        self, portal: BlockingPortal, endpoint: McpEndpoint, timeouts: McpTimeouts, *, owner: str
    ) -> None:
        self._portal = portal
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._owner = owner
        self._opened: AbstractContextManager[McpConnection] | None = None
        self._connection: McpConnection | None = None
        self._refusal: int | None = None
        """Status of the latest HTTP response, if that is an error."""

    def list_tools(self) -> "list[Tool]":
        """Return the server's tools, as they were on connecting; raise `McpServerError`."""
        return self.connect().tools

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        is_abandoned: IsAbandoned = lambda: False,
    ) -> "CallToolResult":
        """Call a tool once, never again, and return its result; the session must be connected.

        Raises `McpServerError` or, once it is abandoned, `AbandonedError`: the call may have taken
        effect nevertheless.
        """

        async def call(client: "Client") -> "CallToolResult":
            return await client.call_tool(
                name, dict(arguments), read_timeout_seconds=self._timeouts.call_s
            )

        return self._run(call, self._timeouts.call_s + self._timeouts.list_s, is_abandoned)

    def connect(self) -> McpConnection:
        """Connect unless it is connected; raise `McpServerError`."""
        if self._connection is None:
            self._refusal = None
            connection = connected(
                self._endpoint, self._timeouts, self._note_status, owner=self._owner
            )
            with self._errors():
                opened = self._portal.wrap_async_context_manager(connection)
                self._connection = opened.__enter__()
                self._opened = opened
        return self._connection

    def close(self) -> None:
        """End the session if it is connected."""
        opened, self._opened, self._connection = self._opened, None, None
        if opened is None:
            return
        try:
            with server_errors():
                opened.__exit__(None, None, None)
        except McpServerError as error:
            logger.info("MCP session not ended", extra={"error": str(error)})

    def _run(
        self,
        ask: "Callable[[Client], Coroutine[Any, Any, T]]",
        timeout_s: float,
        is_abandoned: IsAbandoned,
    ) -> T:
        connection, self._refusal = self._connection, None
        assert connection is not None
        try:
            with self._errors():
                future: Future[T] = self._portal.start_task_soon(
                    _within, timeout_s, ask, connection.client
                )
                return _wait(future, is_abandoned)
        except (McpServerError, AbandonedError):
            # What is left of the session may be unusable.
            self.close()
            raise

    def _note_status(self, status: int) -> None:
        self._refusal = status if status >= 400 else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert errors to `McpServerError`, with the status of HTTP if that is the cause."""
        try:
            with server_errors():
                yield
        except McpServerError as error:
            error.http_status = self._refusal
            raise


async def _within(
    timeout_s: float, ask: "Callable[[Client], Coroutine[Any, Any, T]]", client: "Client"
) -> T:
    with anyio.fail_after(timeout_s):
        return await ask(client)


def _wait(future: "Future[T]", is_abandoned: IsAbandoned) -> T:
    """Return the result of a future; cancel it once it is abandoned."""
    while True:
        try:
            return future.result(timeout=_POLL_S)
        except NotDoneError:
            if future.done():
                return future.result()
            if is_abandoned():
                future.cancel()
                raise AbandonedError from None
