"""Fixtures: the public interface of a running server with the default weights."""

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.acceptance.server import AntiphonServer
from tests.conformance.suite.judge import Json, judge_response

LIMIT_S = 240


class Api:
    """HTTP client that judges every response it receives."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=LIMIT_S)

    def post(self, path: str = "/responses", **body: Any) -> httpx.Response:
        """Post a request to the default model; fields that are None are left out."""
        # Greedy decoding, so that these tests are deterministic.
        whole = {"model": "default", "temperature": 0, **body}
        given = {name: value for name, value in whole.items() if value is not None}
        return self._http.post(path, json=given)

    def create(self, given: Any, **fields: Any) -> Json:
        """Create a response in the foreground; fail unless it is a valid one."""
        answer = self.post(input=given, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        return judge_response(answer.json())

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="session")
def api(server: AntiphonServer) -> Iterator[Api]:
    opened = Api(f"{server.url}/v1")
    yield opened
    opened.close()


def message(role: str, content: Any, **fields: Any) -> Json:
    return {"type": "message", "role": role, "content": content, **fields}
