"""What is decided as soon as the head of a request has arrived."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.serving.limits import ServingLimits
from models.access.tokens import Token
from models.store.store import Store
from tests.integration.api.limits.conftest import Limit
from tests.integration.http_server import serving
from tests.integration.keys import bearer, create_key
from tests.security.raw_http import ask, connected, error_in, is_open, read_head, status_of

_BODY = b'{"input": "Hello.", "background": true}'


def request(token: Token, *, more: str = "", body: bytes = _BODY) -> bytes:
    key = token.reveal()
    head = (
        f"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


@pytest.fixture
def token(key_store: Store, http: FlaskClient) -> Token:
    """Return a key that the server has seen."""
    made = create_key(key_store)
    assert http.get("/v1/models", headers=bearer(made)).status_code == 200
    return made


@pytest.fixture
def address(app: OpenAPI, token: Token) -> Iterator[str]:
    with serving(app, ServingLimits(max_client_connections=3)) as found:
        yield found


def use_up(http: FlaskClient, limit: Limit, token: Token) -> None:
    limit(requests_per_minute=1)
    for status in (200, 429):
        body = {"input": "Hello.", "background": True}
        answer = http.post("/v1/responses", json=body, headers=bearer(token))
        assert answer.status_code == status


def test_a_project_that_has_used_up_its_requests_is_refused_before_its_body(
    address: str, http: FlaskClient, limit: Limit, token: Token
) -> None:
    use_up(http, limit, token)

    answer = ask(address, request(token, body=b"").replace(b"Length: 0", b"Length: 1000"))

    assert status_of(answer) == 429
    assert error_in(answer)["code"] == "rate_limit_exceeded"
    assert b"\r\nretry-after-ms: " in answer
    assert b"\r\nx-ratelimit-remaining-requests: 0\r\n" in answer


def test_refusals_that_wait_are_answered(
    monkeypatch: pytest.MonkeyPatch, address: str, http: FlaskClient, limit: Limit, token: Token
) -> None:
    use_up(http, limit, token)
    monkeypatch.setattr("api.limits.refusal_pace.NUM_AT_ONCE", 0)

    with connected(address) as patient, connected(address) as gone:
        for connection in (patient, gone):
            # More than one request: what comes behind the refused one is not answered.
            connection.sendall(request(token) * 2)
        gone.close()
        answer = read_head(patient)

    assert status_of(answer) == 429
    assert b"Retry-After" in answer
    assert status_of(ask(address, request(token))) == 429


def test_a_repetition_is_let_in(
    address: str, http: FlaskClient, limit: Limit, token: Token
) -> None:
    limit(requests_per_minute=1)
    more = "Idempotency-Key: k\r\nConnection: close\r\n"
    first = ask(address, request(token, more=more))
    assert status_of(ask(address, request(token, more="Connection: close\r\n"))) == 429

    again = ask(address, request(token, more=more))

    assert [status_of(first), status_of(again)] == [200, 200]


def test_a_wrong_secret_is_not_refused_for_the_key_that_it_names(
    address: str, http: FlaskClient, limit: Limit, token: Token
) -> None:
    use_up(http, limit, token)
    forged = Token(token.id, Token.new().secret)

    answer = ask(address, request(forged, more="Connection: close\r\n"))

    assert status_of(answer) == 401


def test_connections_are_counted_by_key(
    address: str, token: Token, key_store: Store, http: FlaskClient
) -> None:
    other = create_key(key_store)
    http.get("/v1/models", headers=bearer(other))
    with ExitStack() as stack:
        opened = []
        for used in (token, token, token, other):
            connection = stack.enter_context(connected(address))
            assert _status_of_models(connection, used) == 200
            opened.append(connection)
        with connected(address) as fourth:
            assert _status_of_models(fourth, token) == 429
        assert all(is_open(connection) for connection in opened)


def test_a_connection_counts_for_the_key_of_its_last_request(
    address: str, token: Token, key_store: Store, http: FlaskClient
) -> None:
    other = create_key(key_store)
    http.get("/v1/models", headers=bearer(other))
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(connected(address))
            assert _status_of_models(connection, token) == 200
            assert _status_of_models(connection, other) == 200
        with connected(address) as fourth:
            assert _status_of_models(fourth, token) == 200


def _status_of_models(connection: socket.socket, token: Token) -> int:
    """Send a request; return the status of its answer, which is read to its end."""
    key = token.reveal().encode()
    connection.sendall(
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % key
    )
    head = read_head(connection)
    found = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    left = int(found[1]) if found else 0
    while left:
        left -= len(connection.recv(left))
    return status_of(head)
