"""Errors of every kind: one error body, a request id, and no internal details."""

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.http.strict_json import MAX_BODY_BYTES
from models.ids import new_id, response_wire_id
from models.settings import Settings
from tests.integration.api.requests import create, error_of
from tests.integration.conftest import NO_DATABASE, NO_REDIS, RunSql, running_app

_ID = response_wire_id(new_id())
_ROUTES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/v1/responses", {"input": "Hello."}),
    ("POST", "/v1/responses", {"input": "Hello.", "background": True}),
    ("POST", "/v1/responses", {"input": "Hello.", "stream": True}),
    ("POST", "/v1/responses", {"input": "Hello.", "store": False}),
    ("GET", "/v1/responses", None),
    ("GET", f"/v1/responses/{_ID}", None),
    ("GET", f"/v1/responses/{_ID}?stream=true", None),
    ("GET", f"/v1/responses/{_ID}/input_items", None),
    ("POST", f"/v1/responses/{_ID}/cancel", None),
    ("DELETE", f"/v1/responses/{_ID}", None),
]


@pytest.fixture
def without_database(settings: Settings) -> Iterator[FlaskClient]:
    """Yield a client of the API while the database refuses connections."""
    with running_app(settings.model_copy(update=NO_DATABASE)) as cut_off:
        yield cut_off.test_client()


@pytest.fixture
def without_redis(settings: Settings) -> Iterator[FlaskClient]:
    """Yield a client of the API while Redis refuses connections."""
    with running_app(settings.model_copy(update=NO_REDIS)) as cut_off:
        yield cut_off.test_client()


@pytest.fixture
def refuse_items(sql: RunSql) -> Iterator[None]:
    """Make Postgres refuse every item."""
    sql("ALTER TABLE items ADD CONSTRAINT inner_detail CHECK (false)")
    yield
    sql("ALTER TABLE items DROP CONSTRAINT inner_detail")


@pytest.mark.parametrize("path", ["/v1", "/v1/response", "/v1/responses/", "/v2/responses"])
def test_an_unknown_address_is_not_found(http: FlaskClient, path: str) -> None:
    answer = http.get(path)

    assert answer.status_code == 404
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("not_found", "not_found")
    assert path in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/responses", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/v1/responses", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", f"/v1/responses/{_ID}", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("GET", f"/v1/responses/{_ID}/cancel", {"OPTIONS", "POST"}),
        ("POST", "/v1/models", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/readyz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_an_address_does_not_take_is_refused_with_those_it_does(
    http: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = http.open(path, method=method)

    assert answer.status_code == 405
    assert error_of(answer)["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_a_body_that_is_too_large_is_refused(http: FlaskClient) -> None:
    body = b'{"input": "' + b"a" * MAX_BODY_BYTES + b'"}'

    answer = http.post("/v1/responses", data=body, content_type="application/json")

    assert answer.status_code == 413
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")


def test_a_body_that_does_not_tell_its_length_is_not_read_beyond_the_limit(
    http: FlaskClient,
) -> None:
    body = io.BytesIO(b'{"input": "' + b"a" * MAX_BODY_BYTES + b'"}')
    chunked = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    answer = http.post("/v1/responses", content_type="application/json", environ_overrides=chunked)

    assert answer.status_code == 413
    assert error_of(answer)["code"] == "request_too_large"


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_a_body_that_is_not_declared_as_json_is_refused(
    http: FlaskClient, content_type: str | None
) -> None:
    answer = http.post("/v1/responses", data=b'{"input": "a"}', content_type=content_type)

    assert answer.status_code == 415
    assert error_of(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("given", ["mine", "A-1._z", "x" * 128])
@pytest.mark.parametrize("path", ["/livez", "/v1/responses", "/v1/responses/resp_x", "/nowhere"])
def test_a_request_id_is_told_back(http: FlaskClient, given: str, path: str) -> None:
    answer = http.get(path, headers={"x-request-id": given})

    assert answer.headers.getlist("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "ä"])
def test_a_request_id_that_is_none_is_replaced(http: FlaskClient, given: str) -> None:
    answer = http.get("/livez", headers={"x-request-id": given})

    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])


def test_every_request_gets_an_id_of_its_own(http: FlaskClient) -> None:
    drawn = {http.get("/livez").headers["x-request-id"] for _ in range(3)}

    assert len(drawn) == 3


@pytest.mark.parametrize(("method", "path", "body"), _ROUTES)
def test_a_database_out_of_reach_is_told_without_inner_details(
    without_database: FlaskClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = without_database.open(path, method=method, json=body)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("server_error", "service_unavailable")
    for detail in ("Traceback", "psycopg", "127.0.0.1", "nobody"):
        assert detail not in answer.text


def test_what_is_not_stored_is_refused_while_redis_is_out_of_reach(
    without_redis: FlaskClient, sql: RunSql
) -> None:
    answer = without_redis.post("/v1/responses", json={"input": "Hello.", "store": False})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert error_of(answer)["code"] == "service_unavailable"
    assert sql("SELECT count(*) FROM responses") == [(0,)]


def test_what_is_stored_is_accepted_while_redis_is_out_of_reach(
    without_redis: FlaskClient, sql: RunSql
) -> None:
    response = create(without_redis)

    assert response["status"] == "queued"
    assert sql("SELECT status FROM responses") == [("queued",)]


@pytest.mark.usefixtures("refuse_items")
def test_a_fault_of_the_server_is_told_without_inner_details(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", "background": True})

    assert answer.status_code == 500
    assert error_of(answer)["type"] == "server_error"
    for detail in ("Traceback", "inner_detail", "psycopg", "INSERT"):
        assert detail not in answer.text


@pytest.mark.usefixtures("refuse_items")
def test_a_fault_of_the_server_is_logged_without_what_the_client_wrote(
    http: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    http.post("/v1/responses", json={"input": "swordfish", "background": True})

    assert "request failed" in caplog.text
    assert "swordfish" not in caplog.text
