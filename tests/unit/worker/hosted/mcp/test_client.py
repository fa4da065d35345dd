"""Client of MCP servers, with a real server in a process of its own."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.schemas.tools.mcp import McpTool
from models.tools.mcp.servers import ANYWHERE, McpEndpoint
from tests.mcp.process import McpServerProcess
from tests.polling import eventually
from worker.hosted.mcp import connection
from worker.hosted.mcp.client import McpClient, McpSession
from worker.hosted.mcp.connection import McpTimeouts
from worker.hosted.mcp.convert import listed_tools, to_result
from worker.hosted.mcp.errors import AbandonedError, McpServerError

Open = Callable[..., McpSession]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServerProcess]:
    with McpServerProcess(tmp_path_factory.mktemp("mcp")) as started:
        yield started


@pytest.fixture
def open_session() -> Iterator[Open]:
    """Return a function that opens a session, which is closed after the test."""
    client = McpClient(McpTimeouts(call_s=5, list_s=5))
    sessions: list[McpSession] = []

    def opened(url: str, **headers: str) -> McpSession:
        endpoint = McpEndpoint(url=url, headers=headers, destinations=ANYWHERE)
        sessions.append(client.session(endpoint, owner="p"))
        return sessions[-1]

    yield opened
    for session in sessions:
        session.close()
    client.close()


class Answering:
    """HTTP server that gives every request the same answer."""

    def __init__(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])

    def __enter__(self) -> str:
        self._thread.start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Raw:
    """MCP server whose answers are given: results by method, or functions that return them."""

    def __init__(self, **results: Any) -> None:
        self.has_ended = threading.Event()
        """Set once a client has told it of the end of the session."""
        self._released = threading.Event()
        begun = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw", "version": "1"},
        }
        self.results = {"initialize": begun, "tools/list": {"tools": []}, **results}
        raw = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.answer(200 if "id" in request else 202, raw.result_of(request))

            def do_GET(self) -> None:
                self.answer(405)

            def do_DELETE(self) -> None:
                raw.has_ended.set()
                raw.wait()
                self.answer(200)

            def answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.send_header("mcp-session-id", "1")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])

    def wait(self) -> dict[str, Any]:
        """Wait until the test ends, then list no tools."""
        self._released.wait()
        return {"tools": []}

    def result_of(self, request: dict[str, Any]) -> bytes:
        """Return the answer to a request, or nothing to a notification."""
        if "id" not in request:
            return b""
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        result = self.results.get(request["method"])
        if result is None:
            answer["error"] = {"code": -32601, "message": "unknown"}
        else:
            answer["result"] = result() if callable(result) else result
        return json.dumps(answer).encode()

    def __enter__(self) -> "Raw":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return a function that opens a session that waits for ten minutes for each answer."""
    monkeypatch.setattr(connection, "CLOSE_S", 0.1)
    client = McpClient(McpTimeouts(call_s=600, list_s=600))
    yield lambda url: client.session(McpEndpoint(url=url, destinations=ANYWHERE), owner="p")
    client.close()


def test_it_works(server: McpServerProcess, open_session: Open) -> None:
    session = open_session(server.url, authorization="Bearer t")

    names = [tool.name for tool in session.list_tools()]
    result = to_result(session.call("add", {"a": 1, "b": 2}))

    assert {"add", "look", "big.text"} <= set(names)
    assert (result.output, result.error) == ("3", None)
    assert server.journal[-1]["headers"]["authorization"] == "Bearer t"


def test_an_error_of_the_tool_is_a_result(server: McpServerProcess, open_session: Open) -> None:
    session = open_session(server.url)
    session.connect()

    result = to_result(session.call("fail", {}))

    assert (result.output, result.code) == (None, None)
    assert "it does not work" in str(result.error)


def test_a_call_that_nobody_waits_for_is_abandoned(
    server: McpServerProcess, open_session: Open
) -> None:
    session, num_before = open_session(server.url), len(server.calls)
    session.connect()

    with pytest.raises(AbandonedError):
        session.call("wait", {}, lambda: server.calls[num_before:] == ["wait"])

    assert to_result_of(session, "add") == "3"


def to_result_of(session: McpSession, name: str) -> str | None:
    session.connect()
    return to_result(session.call(name, {"a": 1, "b": 2})).output


def test_a_server_that_ends_during_a_call_is_an_error_and_its_successor_is_connected_to(
    tmp_path: Path, open_session: Open
) -> None:
    with McpServerProcess(tmp_path) as server:
        session = open_session(server.url)
        session.connect()

        def kill() -> None:
            eventually(lambda: server.calls == ["wait"])
            server.kill()

        killer = threading.Thread(target=kill)
        killer.start()

        with pytest.raises(McpServerError):
            session.call("wait", {})
        killer.join()

        with pytest.raises(McpServerError, match="no connection"):
            session.connect()
        server.start()
        assert to_result_of(session, "add") == "3"
        assert server.calls == ["wait", "add"]


@pytest.mark.parametrize("status", [401, 404, 500, 302])
def test_a_status_is_told(open_session: Open, status: int) -> None:
    with Answering(status, b"") as url, pytest.raises(McpServerError) as raised:
        open_session(url).connect()

    assert raised.value.http_status == (status if status >= 400 else None)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"not JSON", "application/json"),
        (b'{"jsonrpc": "2.0"}', "application/json"),
        (b"<html>", "text/html"),
        (b"data: nothing\n\n", "text/event-stream"),
        (b'{"a": "' + b"x" * (9 << 20) + b'"}', "application/json"),
    ],
)
def test_an_answer_that_is_not_of_the_protocol_is_an_error(
    open_session: Open, body: bytes, content_type: str
) -> None:
    client = McpClient(McpTimeouts(call_s=1, list_s=1))
    with Answering(200, body, content_type) as url:
        session = client.session(McpEndpoint(url=url, destinations=ANYWHERE), owner="p")
        with pytest.raises(McpServerError):
            session.connect()
    client.close()


def test_a_header_may_have_any_character_of_headers(
    server: McpServerProcess, open_session: Open
) -> None:
    session = open_session(server.url, **{"x-name": "J\xe9r\xf4me"})

    assert to_result_of(session, "add") == "3"
    assert server.journal[-1]["headers"]["x-name"] == "J\xe9r\xf4me"


def test_a_server_that_does_not_let_go_of_its_session_is_left(patient: Open) -> None:
    with Raw() as server:
        session = patient(server.url)
        session.connect()

        session.close()

        assert server.has_ended.is_set()


def test_a_server_has_a_limited_time_to_list_its_tools(
    patient: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    server = Raw()
    server.results["tools/list"] = server.wait
    with server, pytest.raises(McpServerError, match="in time"):
        patient(server.url).connect()


def test_the_pages_of_a_list_are_bounded_together(patient: Open) -> None:
    tool = {"name": "a", "description": "x" * (1 << 20), "inputSchema": {"type": "object"}}
    pages = {"tools": [tool], "nextCursor": "next"}
    with (
        Raw(**{"tools/list": pages}) as server,
        pytest.raises(McpServerError, match="more than 8388608 bytes"),
    ):
        patient(server.url).connect()


def test_what_a_tool_answers_is_read_whatever_its_own_schema_says(patient: Open) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(x+)+$"}}}
    tool = {"name": "a", "inputSchema": {"type": "object"}, "outputSchema": schema}
    content = {"a": "xx!"}
    answer = {"content": [], "structuredContent": content, "isError": False}
    with Raw(**{"tools/list": {"tools": [tool]}, "tools/call": answer}) as server:
        session = patient(server.url)
        session.connect()

        assert to_result(session.call("a", {})).output == '{"a":"xx!"}'
        session.close()


class TestLists:
    """Lists of tools, bounded before they reach a request."""

    def listed(self, found: list[Any], **fields: Any) -> list[dict[str, Any]]:
        return listed_tools(McpTool(server_label="s", **fields), found)

    def tools(self, count: int, size: int = 1) -> list[Any]:
        from mcp.types import Tool

        return [
            Tool(name=f"tool{number}", description="x" * size, input_schema={"type": "object"})
            for number in range(count)
        ]

    def test_too_many_are_refused_with_what_to_do(self) -> None:
        with pytest.raises(McpServerError, match=r"129 tools, more than 128.*allowed_tools"):
            self.listed(self.tools(129))

        assert len(self.listed(self.tools(129), allowed_tools=["tool7"])) == 1

    def test_too_large_ones_are_refused_with_what_to_do(self) -> None:
        with pytest.raises(McpServerError, match=r"bytes, more than 262144.*allowed_tools"):
            self.listed(self.tools(100, size=3000))

    def test_text_that_no_database_takes_is_replaced(self) -> None:
        from mcp.types import Tool

        found = [Tool(name="a", description="a\0b", input_schema={"title": "\0", "x": ["\0"]})]

        [tool] = self.listed(found)

        assert tool["description"] == "a\N{REPLACEMENT CHARACTER}b"
        assert "\0" not in str(tool)

    def test_an_integer_that_no_database_takes_is_the_nearest(self) -> None:
        from mcp.types import CallToolResult, Tool

        schema = {"minimum": -(10**30), "maximum": 10**30, "default": True}
        [tool] = self.listed([Tool(name="a", input_schema=schema)])
        result = to_result(CallToolResult(content=[], structured_content={"n": 10**30}))

        assert tool["input_schema"] == {"minimum": -(2**63), "maximum": 2**64 - 1, "default": True}
        assert result.output == '{"n":18446744073709551615}'
