"""Fake SearXNG server over real HTTP, whose results a test sets."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.polling import PATIENCE_S


class FakeSearxng:
    """Fake SearXNG server that records the queries it receives."""

    def __init__(self, results: list[Any], *, status: int = 200, body: bytes | None = None) -> None:
        self.queries: list[str] = []
        self.results = list(results)
        self.may_answer = threading.Event()
        self.may_answer.set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                assert asked["format"] == ["json"]
                fake.queries += asked["q"]
                fake.may_answer.wait(PATIENCE_S)
                self.send_response(status)
                self.end_headers()
                found = json.dumps({"results": fake.results}).encode()
                self.wfile.write(found if body is None else body)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def result(url: str, title: str = "A title", content: str = "A text.") -> dict[str, str]:
    """Return one result in the format of SearXNG."""
    return {"url": url, "title": title, "content": content, "engine": "fake"}
