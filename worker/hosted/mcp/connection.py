"""Connection to one MCP server: opened and ended within limits of time, its tools listed first."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import httpx2

from models.fetching.transport import GuardedTransport
from models.tools.mcp.servers import McpEndpoint
from worker.hosted.mcp.errors import McpServerError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

LIST_S = 10.0
"""Seconds that each request may take but a call: to connect, and for each page of a list."""
CONNECT_S = 30.0
"""Seconds that it may take to connect, the whole list of tools included."""
CLOSE_S = 3.0
"""Seconds that it may take to end a session."""
MAX_BYTES = 8 << 20
"""Maximum bytes of one HTTP response of a server, and of all pages of a list together."""
MAX_PAGES = 32
"""Maximum pages of a list of tools."""

NoteStatus = Callable[[int], object]
"""Function that is told the status of each HTTP response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpTimeouts:
    """Limits on the time of requests, seconds."""

    call_s: float = 60.0
    list_s: float = LIST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class McpConnection:
    """Client of a server that is connected, and the tools that the server has listed."""

    client: "Client"
    tools: "list[Tool]"


@asynccontextmanager
async def connected(
    endpoint: McpEndpoint, timeouts: McpTimeouts, note_status: NoteStatus, *, owner: str
) -> AsyncIterator[McpConnection]:
    """Connect and list the tools within `CONNECT_S`; end the session within `CLOSE_S`.

    `owner` is whom name look-ups are made for.
    """
    error: Exception | None = TimeoutError()
    with anyio.CancelScope(deadline=anyio.current_time() + CONNECT_S) as scope:
        async with _client(endpoint, timeouts, note_status, owner) as client:
            try:
                tools = await _list_tools(client)
                error, scope.deadline = None, math.inf
                yield McpConnection(client=client, tools=tools)
            except Exception as raised:
                error = raised
                raise
            finally:
                # A server that is told of the end need not answer.
                scope.deadline = min(scope.deadline, anyio.current_time() + CLOSE_S)
    if error is not None:
        raise error


@asynccontextmanager
async def _client(
    endpoint: McpEndpoint, timeouts: McpTimeouts, note_status: NoteStatus, owner: str
) -> "AsyncIterator[Client]":
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def note(response: httpx2.Response) -> None:
        note_status(response.status_code)

    headers = {
        b"user-agent": b"antiphon",
        **{name.encode(): value.encode("latin-1") for name, value in endpoint.headers.items()},
    }
    async with (
        httpx2.AsyncClient(
            transport=GuardedTransport(
                endpoint.url, endpoint.destinations, owner=owner, max_bytes=MAX_BYTES
            ),
            headers=headers,
            # A stream may be silent as long as a call takes.
            timeout=httpx2.Timeout(timeouts.list_s, read=timeouts.call_s + timeouts.list_s),
            event_hooks={"response": [note]},
            trust_env=False,
        ) as http,
        Client(
            streamable_http_client(endpoint.url, http_client=http),
            read_timeout_seconds=timeouts.list_s,
            cache=None,
        ) as client,
    ):
        client.session.validate_tool_result = _accept  # type: ignore[method-assign]
        yield client


async def _list_tools(client: "Client") -> "list[Tool]":
    tools: list[Tool] = []
    cursor: str | None = None
    num_bytes = 0
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        num_bytes += len(page.model_dump_json())
        if num_bytes > MAX_BYTES:
            raise McpServerError(f"its list of tools has more than {MAX_BYTES} bytes")
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools
    raise McpServerError(f"its list of tools has more than {MAX_PAGES} pages")


async def _accept(name: str, result: "CallToolResult") -> None:
    """Accept a result, which the model reads as text, whatever schema its tool has.

    A pattern in the schema of a server can take for ever to match, and stops all other threads.
    """
    del name, result
