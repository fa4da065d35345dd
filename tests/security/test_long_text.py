"""Texts of many megabytes are refused at once, and others are served meanwhile."""

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.server import AntiphonServer

_REFUSED_WITHIN_S = 25.0
ALIVE_WITHIN_S = 10.0
"""Bounds with room for other load; while the lock was held, both took more than 30 s."""


def refusal(server: AntiphonServer, body: bytes) -> tuple[dict[str, str], float]:
    """Return the error of a request that is refused, and how many seconds that took."""
    request = urllib.request.Request(
        f"{server.url}/v1/responses", data=body, headers={"Content-Type": "application/json"}
    )
    started = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=100)
    with raised.value as answer:
        assert answer.code == 400
        error: dict[str, str] = json.load(answer)["error"]
    return error, time.monotonic() - started


class LivenessProbe(threading.Thread):
    """Thread that asks /livez again and again, and measures the longest answer."""

    def __init__(self, server: AntiphonServer) -> None:
        super().__init__()
        self._url = f"{server.url}/livez"
        self._is_over = threading.Event()
        self.longest_s = 0.0

    def __enter__(self) -> "LivenessProbe":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        while not self._is_over.wait(0.02):
            started = time.monotonic()
            urllib.request.urlopen(self._url, timeout=100).close()
            self.longest_s = max(self.longest_s, time.monotonic() - started)


@pytest.mark.parametrize(
    "text",
    ["😀" * (5 << 20), " " * (10 << 20), "的一是不了人我在" * (1 << 18), "a\n" * (1 << 18)],
    ids=["emoji", "spaces", "characters", "lines"],
)
def test_a_text_far_too_long_is_refused_at_once(server: AntiphonServer, text: str) -> None:
    # Two of them together are less than one client may have in flight (`BodyBudget`).
    body = json.dumps({"input": text}, ensure_ascii=False).encode()

    with LivenessProbe(server) as probe, ThreadPoolExecutor(2) as pool:
        refusals = list(pool.map(lambda _: refusal(server, body), range(2)))

    for error, seconds in refusals:
        assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
        assert "at least" in error["message"]
        assert len(error["message"]) < 1024
        assert seconds < _REFUSED_WITHIN_S
    assert probe.longest_s < ALIVE_WITHIN_S
