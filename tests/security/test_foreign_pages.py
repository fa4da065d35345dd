"""Web pages of other origins and rebound names, in headers and in a real browser (finding B1)."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.acceptance.clients.programs import HERE as CLIENTS
from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import AntiphonServer
from tests.integration.api.requests import error_of
from tests.integration.conftest import running_app
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S

ROUTES = [
    ("GET", "/v1/responses"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/models"),
    ("POST", "/v1/conversations"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/livez"),
    ("GET", "/nothing"),
    ("OPTIONS", "/v1/responses"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_rebound_name_is_refused(http: FlaskClient, method: str, path: str) -> None:
    answer = http.open(path, method=method, headers={"Host": "evil.example:8000"})

    assert answer.status_code == 403
    assert error_of(answer)["code"] == "host_not_allowed"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_page_of_another_origin_is_refused(
    http: FlaskClient, method: str, path: str, origin: str
) -> None:
    answer = http.open(path, method=method, headers={"Origin": origin})

    assert answer.status_code == 403
    assert error_of(answer)["code"] == "origin_not_allowed"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_address_embedded_in_a_foreign_page_is_refused(http: FlaskClient) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert http.get("/v1/models", headers=embedded).status_code == 403
    assert http.get("/docs", headers=followed).status_code == 200


def test_programs_and_own_pages_are_served(http: FlaskClient) -> None:
    for headers in ({}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}):
        assert http.get("/v1/models", headers=headers).status_code == 200


def test_the_setting_adds_hosts_and_origins(settings: Settings) -> None:
    allowed = Settings(allowed_hosts=".example.com", allowed_origins="https://app.example.org")
    changes = {"allowed_hosts": allowed.allowed_hosts, "allowed_origins": allowed.allowed_origins}
    with running_app(settings.model_copy(update=changes)) as app:
        http = app.test_client()

        there = http.get("/v1/models", headers={"Host": "api.example.com"})
        page = http.get("/v1/models", headers={"Origin": "https://app.example.org"})
        other = http.get("/v1/models", headers={"Origin": "https://other.example.org"})
        preflight = http.options(
            "/v1/responses",
            headers={
                "Origin": "https://app.example.org",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
            },
        )

    assert (there.status_code, page.status_code, other.status_code) == (200, 200, 403)
    assert page.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "x-request-id" in page.headers["Access-Control-Expose-Headers"]
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "x-stainless-os" in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_a_websocket_of_a_foreign_page_is_refused(
    settings: Settings, headers: dict[str, str], status: int
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    with (
        running_app(settings) as app,
        serving(app) as address,
        contextlib.closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection,
    ):
        connection.request("GET", "/v1/responses", headers=upgrade | headers)

        assert connection.getresponse().status == status


def test_pages_cannot_be_framed(http: FlaskClient) -> None:
    page = http.get("/docs")

    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert http.get("/v1/models").headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture(scope="module")
def page_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    return folder


@contextmanager
def serving_page(folder: Path) -> Iterator[str]:
    """Serve a page on a port of its own, which is an origin of its own; yield its URL."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()
        thread.join()


def browse(*urls: str) -> dict[str, Any]:
    """Run the browser's scenarios; return their results by name."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node on this machine")
    # The package unpacks its libraries where it believes to be on the platform that it is made for.
    environment = os.environ | {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
    command = ["node", "with_browser.mjs", *urls]
    done = subprocess.run(
        command, cwd=CLIENTS, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    return {name: result for line in lines for name, result in line.items()}


@pytest.mark.nightly
def test_a_browser_keeps_foreign_pages_out(make_server: MakeServer, page_dir: Path) -> None:
    with serving_page(page_dir) as foreign, serving_page(page_dir) as allowed:
        server: AntiphonServer = make_server(allowed_origins=allowed)

        found = browse(server.url, foreign, allowed)

        num_stored = len(server.client().get("/responses", cast_to=dict)["data"])
    for way in ("read", "json", "stream", "missing", "invalid", "tooLarge", "socket"):
        assert set(found["foreign"][way]) == {"blocked"}, way
    assert found["foreign"]["frame"]["url"].startswith("chrome-error://")
    assert found["allowed"]["read"]["status"] == 200
    assert found["allowed"]["json"]["status"] == 200
    assert found["allowed"]["json"]["id"].startswith("req_")
    assert found["allowed"]["stream"]["text"].endswith("data: [DONE]\n\n")
    for way, status in {"missing": 404, "invalid": 400, "tooLarge": 413}.items():
        assert found["allowed"][way]["status"] == status
        assert found["allowed"][way]["id"].startswith("req_")
    assert found["allowed"]["socket"]["first"] == "response.created"
    assert found["rebound"]["status"] == 403
    assert num_stored == 2  # those of the allowed page, over HTTP and over its WebSocket
    assert "Antiphon" in found["reference"]["text"]
    assert found["reference"]["hosts"] == [server.url.removeprefix("http://")]
