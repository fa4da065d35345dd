"""Pages of allowed origins read every answer, over a real port; pages of others read none."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import orjson
import pytest

from api.http.strict_json import MAX_BODY_BYTES
from api.serving.limits import ServingLimits
from models.settings import Settings
from tests.integration.conftest import NO_DATABASE, running_app
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S

PAGE = "https://app.example.com"
_NEEDED = ["authorization", "content-type", "idempotency-key", "antiphon-events"]
_OPENAI = ["openai-organization", "openai-project", "x-stainless-retry-count", "x-request-id"]
_EXPOSED = [
    "x-request-id",
    "antiphon-warning",
    "retry-after",
    "x-ratelimit-remaining-requests",
    "location",
]
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}

_TOO_LONG = str(MAX_BODY_BYTES + 1)


@contextmanager
def served(settings: Settings, **changes: Any) -> Iterator[str]:
    """Serve the API to pages of `PAGE`, unless other origins are given; yield `host:port`."""
    limits = ServingLimits(head_bytes=2000)
    named = Settings(allowed_origins=changes.pop("allowed_origins", PAGE)).allowed_origins
    changed = settings.model_copy(update={"allowed_origins": named} | changes)
    with running_app(changed) as app, serving(app, limits) as address:
        yield address


@contextmanager
def asked(
    address: str, method: str, path: str, *, body: Any = None, **headers: str
) -> Iterator[HTTPResponse]:
    """Send a request of a page of `PAGE`; yield the answer, its body yet to be read."""
    sent = {"Origin": PAGE, "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    with contextlib.closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        connection.request(method, path, data, sent)
        yield connection.getresponse()


def assert_readable(answer: HTTPResponse, status: int) -> None:
    """Assert that a page of `PAGE` may read this answer and its headers."""
    assert answer.status == status, answer.read()
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [PAGE]
    assert answer.headers["Access-Control-Allow-Credentials"] is None
    exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
    assert set(_EXPOSED) <= set(exposed)
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["x-request-id"]


def preflight(address: str, path: str = "/v1/responses", **headers: str) -> Any:
    """Send a preflight request."""
    wanted = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": ",".join([*_NEEDED, *_OPENAI]),
    }
    return asked(address, "OPTIONS", path, **wanted | headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("POST", "/v1/conversations"),
        ("GET", "/v1/models"),
    ],
)
def test_a_preflight_allows_what_clients_send(settings: Settings, method: str, path: str) -> None:
    with (
        served(settings) as address,
        preflight(address, path, Access_Control_Request_Method=method) as answer,
    ):
        assert_readable(answer, 200)
        methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
        assert method in methods
        assert "*" not in methods
        names = answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert set(names) == {*_NEEDED, *_OPENAI}
        assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_a_page_of_an_allowed_origin_may_reach_a_private_network(settings: Settings) -> None:
    with served(settings) as address:
        with preflight(address, Access_Control_Request_Private_Network="true") as answer:
            assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
        with preflight(
            address,
            Access_Control_Request_Private_Network="true",
            Origin="https://evil.example",
        ) as answer:
            assert answer.status == 403
            assert answer.headers["Access-Control-Allow-Private-Network"] is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil-app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://appxexample.com",
        "https://app.example.com, https://evil.example",
        "https://app.example.com/",
    ],
)
def test_other_origins_get_neither_a_preflight_nor_an_answer(
    settings: Settings, origin: str
) -> None:
    with served(settings) as address:
        for request in (
            preflight(address, Origin=origin),
            asked(address, "GET", "/v1/models", Origin=origin),
            asked(address, "POST", "/v1/responses", body={"input": "Hi."}, Origin=origin),
            asked(address, "POST", "/v1/responses", Origin=origin, Content_Length=_TOO_LONG),
            asked(address, "GET", "/v1/responses", Origin=origin, **_UPGRADE),
        ):
            with request as answer:
                assert answer.status in (403, 413)
                assert answer.headers["Access-Control-Allow-Origin"] is None
                assert answer.headers["Vary"] == "Origin"


@pytest.mark.usefixtures("worker")
def test_answers_of_views_can_be_read(settings: Settings) -> None:
    with served(settings) as address:
        with asked(address, "GET", "/v1/models") as answer:
            assert_readable(answer, 200)
        with asked(address, "POST", "/v1/responses", body={"input": "Hi."}) as answer:
            assert_readable(answer, 200)
            assert orjson.loads(answer.read())["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_a_stream_can_be_read(settings: Settings) -> None:
    body = {"input": "Hi.", "stream": True}
    with served(settings) as address, asked(address, "POST", "/v1/responses", body=body) as answer:
        assert_readable(answer, 200)
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.read().endswith(b"data: [DONE]\n\n")


def test_a_page_may_open_a_websocket(settings: Settings) -> None:
    with (
        served(settings) as address,
        asked(address, "GET", "/v1/responses", **_UPGRADE) as answer,
    ):
        assert answer.status == 101
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/responses", {"input": 7}, 400),
        ("POST", "/v1/responses", b"{", 400),
        ("GET", "/v1/responses/resp_1", None, 404),
        ("GET", "/nothing", None, 404),
        ("PUT", "/v1/responses", {}, 405),
    ],
)
def test_errors_of_views_can_be_read(
    settings: Settings, method: str, path: str, body: Any, status: int
) -> None:
    with served(settings) as address, asked(address, method, path, body=body) as answer:
        assert_readable(answer, status)
        assert set(orjson.loads(answer.read())) == {"error"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": _TOO_LONG}, 413),
        ({"x_filler": "f" * 2000}, 431),
        ({"Content_Encoding": "br"}, 415),
        ({"Sec_WebSocket_Version": "8", "Connection": "Upgrade", "Upgrade": "websocket"}, 426),
    ],
)
def test_refusals_of_the_http_server_can_be_read(
    settings: Settings, headers: dict[str, str], status: int
) -> None:
    method = "GET" if status == 426 else "POST"
    with (
        served(settings) as address,
        asked(address, method, "/v1/responses", body=b"{}", **headers) as answer,
    ):
        assert_readable(answer, status)
        assert set(orjson.loads(answer.read())) == {"error"}


def test_a_full_queue_can_be_read(settings: Settings) -> None:
    body = {"input": "Hi.", "background": True, "model": "default"}
    with served(settings, max_queued=1, max_queued_per_project=1) as address:
        with asked(address, "POST", "/v1/responses", body=body) as answer:
            assert_readable(answer, 200)
        with asked(address, "POST", "/v1/responses", body=body) as answer:
            assert_readable(answer, 429)
            assert answer.headers["Retry-After"]


def test_a_full_server_can_be_read(settings: Settings) -> None:
    stream = {"input": "Hi.", "background": True, "stream": True, "max_output_tokens": 1000}
    with (
        served(settings, api_client_streams=1) as address,
        asked(address, "POST", "/v1/responses", body=stream) as first,
    ):
        assert_readable(first, 200)
        with asked(address, "POST", "/v1/responses", body=stream) as answer:
            assert_readable(answer, 429)


def test_an_outage_can_be_read(settings: Settings) -> None:
    with (
        served(settings, **NO_DATABASE) as address,
        asked(address, "GET", "/v1/responses") as answer,
    ):
        assert_readable(answer, 503)
        assert answer.headers["Retry-After"]


def test_a_star_allows_every_page_without_credentials(settings: Settings) -> None:
    with (
        served(settings, allowed_origins="*") as address,
        asked(address, "GET", "/v1/models", Origin="https://any.example") as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://any.example"
        assert answer.headers["Access-Control-Allow-Credentials"] is None


@pytest.mark.parametrize(
    ("named", "origin"),
    [
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("HTTPS://App.Example.com", "https://app.example.com"),
        ("https://a.example, https://b.example", "https://b.example"),
        ("tauri://localhost", "tauri://localhost"),
    ],
)
def test_an_origin_is_allowed_as_browsers_spell_it(
    settings: Settings, named: str, origin: str
) -> None:
    with (
        served(settings, allowed_origins=named) as address,
        asked(address, "GET", "/v1/models", Origin=origin) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_caches_keep_the_answers_to_different_origins_apart(settings: Settings) -> None:
    with served(settings) as address:
        own = f"http://{address}"
        for headers in ({"Origin": own}, {"Origin": "https://evil.example"}):
            with asked(address, "GET", "/v1/models", **headers) as answer:
                assert answer.headers["Vary"] == "Origin"
                assert answer.headers["Access-Control-Allow-Origin"] is None


def test_without_allowed_origins_there_is_no_cors(settings: Settings) -> None:
    with served(settings, allowed_origins="") as address:
        with asked(address, "GET", "/v1/models", Origin=f"http://{address}") as answer:
            assert answer.status == 200
            assert answer.headers["Vary"] is None
        with asked(address, "GET", "/v1/models") as answer:
            assert answer.status == 403
