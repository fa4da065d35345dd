"""A server that answers as it is told to, for tests of what commands print."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typer.testing import CliRunner, Result

from cli.main import app

Event = dict[str, Any]
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Asked:
    """A request that was received."""

    method: str
    path: str
    query: str
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Stream:
    """An answer of events; it is cut off without an end unless `is_whole`."""

    events: list[Event]
    is_whole: bool = True


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    message: str = "No."
    headers: dict[str, str] = field(default_factory=dict)


Answer = Any
Reply = Callable[[Asked], Answer]


class FakeApi:
    """Answers by method and path, the last one again and again; unknown paths are a 404."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._answers: dict[tuple[str, str], list[Answer]] = {}

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer requests of a path, one after the other; a function is called for its answer."""
        self._answers[method, path] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        """Return the answer to a request."""
        self.asked.append(asked)
        answers = self._answers.get((asked.method, asked.path))
        if not answers:
            return Refusal(404, f"Response with id '{asked.path.rpartition('/')[2]}' not found.")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found(asked) if callable(found) else found

    def run(self, *words: str, **more: Any) -> Result:
        """Run a command that calls this server."""
        environment = {"ANTIPHON_BASE_URL": self.url, "ANTIPHON_API_KEY": "sk-test"}
        return CliRunner().invoke(app, words, env=environment, **more)


@contextmanager
def serving() -> Iterator[FakeApi]:
    """Run the server."""
    api = FakeApi()

    class Handler(_Handler):
        fake = api

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    yield api
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeApi

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.fake.answer(Asked(self.command, path, query, body, headers))
        if isinstance(answer, Stream):
            self._stream(answer)
        elif isinstance(answer, Refusal):
            error = {"error": {"message": answer.message, "type": "x", "param": None, "code": None}}
            self._send(answer.status, json.dumps(error).encode(), answer.headers)
        elif isinstance(answer, str):
            self._send(200, answer.encode(), {"content-type": "text/plain"})
        else:
            self._send(200, json.dumps(answer).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_JSON, **headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer: Stream) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        frames = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in answer.events]
        frames += ["data: [DONE]\n\n"] if answer.is_whole else []
        body = "".join(frames).encode()
        # A length that is not kept: the client sees that the connection was lost.
        self.send_header("content-length", str(len(body) + (0 if answer.is_whole else 1)))
        self.end_headers()
        self.wfile.write(body)


def response(response_id: str = "resp_1", status: str = "completed", **more: Any) -> dict[str, Any]:
    """Return a response object with an answer."""
    text = more.pop("text", "Hello.")
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return {
        "id": response_id,
        "object": "response",
        "status": status,
        "model": "m",
        "created_at": 1_700_000_000,
        "completed_at": 1_700_000_002,
        "output": [message] if status in ("completed", "incomplete") else [],
        "error": {"code": "server_error", "message": "It broke."} if status == "failed" else None,
        "incomplete_details": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        "metadata": {},
        **more,
    }


def deltas(*texts: str, start: int = 0) -> list[Event]:
    """Return events that add texts."""
    return [
        {"type": "response.output_text.delta", "sequence_number": number, "delta": text}
        for number, text in enumerate(texts, start)
    ]


def ending(number: int, status: str = "completed", **more: Any) -> Event:
    """Return the last event of a response."""
    ended = response(status=status, **more)
    return {"type": f"response.{status}", "sequence_number": number, "response": ended}
