"""Clients behind a proxy, over a real port: this machine is the proxy, or is not trusted."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import orjson
import pytest
from flask import request

from api.access.failed_attempts import MAX_ATTEMPTS
from api.http.forwarded import client_address
from api.serving.limits import ServingLimits
from models.settings import Settings
from models.store.store import Store
from tests.integration.conftest import running_app
from tests.integration.http_server import serving
from tests.integration.keys import create_key
from tests.polling import PATIENCE_S, eventually
from tests.security.raw_http import HANDSHAKE, connected, read_head, status_of

ALICE, BOB = "192.0.2.1", "2001:db8::1"
_STREAM = {"input": "Hi.", "background": True, "stream": True, "max_output_tokens": 1000}

Seen = list[tuple[str, str, str]]


@contextmanager
def served(
    settings: Settings,
    *,
    trusted: str = "127.0.0.0/8",
    limits: ServingLimits = ServingLimits(),
    **changes: Any,
) -> Iterator[tuple[str, Seen]]:
    """Serve the API; yield `host:port`, and the client, scheme and host of each request so far."""
    seen: Seen = []

    def note() -> None:
        seen.append((client_address(), request.scheme, request.host))

    proxies = Settings(trusted_proxies=trusted).trusted_proxies
    changed = settings.model_copy(update={"trusted_proxies": proxies} | changes)
    with running_app(changed) as app:
        app.before_request(note)
        with serving(app, limits) as address:
            yield address, seen


def get(connection: HTTPConnection, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/v1/models", headers=named)
    answer = connection.getresponse()
    answer.read()
    return answer.status


@contextmanager
def streaming(address: str, client: str) -> Iterator[HTTPResponse]:
    """Create a stream for a client of the proxy; yield the answer, its body yet to be read."""
    with closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection:
        headers = {"Content-Type": "application/json", "X-Forwarded-For": client}
        connection.request("POST", "/v1/responses", orjson.dumps(_STREAM), headers)
        yield connection.getresponse()


def test_clients_of_one_connection_are_told_apart(settings: Settings) -> None:
    with served(settings) as (address, seen), closing(HTTPConnection(address)) as proxy:
        assert get(proxy, X_Forwarded_For=ALICE, X_Forwarded_Proto="https") == 200
        assert get(proxy, Forwarded=f'for="[{BOB}]:80"') == 200
        assert get(proxy) == 200

    assert [(client, scheme) for client, scheme, _ in seen] == [
        (ALICE, "https"),
        (BOB, "http"),
        ("127.0.0.1", "http"),
    ]


def test_a_client_that_is_no_proxy_cannot_pose_as_another(settings: Settings) -> None:
    with (
        served(settings, trusted="10.0.0.0/8") as (address, seen),
        closing(HTTPConnection(address)) as client,
    ):
        assert get(client, X_Forwarded_For=ALICE, X_Forwarded_Host="api.example") == 200
        assert get(client, Forwarded=f"for={ALICE};host=api.example;proto=https") == 200

    assert seen == [("127.0.0.1", "http", address)] * 2


def test_the_host_that_counts_must_be_allowed(settings: Settings) -> None:
    with (
        served(settings, allowed_hosts=("api.example",)) as (address, seen),
        closing(HTTPConnection(address)) as proxy,
    ):
        assert get(proxy, X_Forwarded_For=ALICE, X_Forwarded_Host="api.example") == 200
        assert get(proxy, X_Forwarded_For=ALICE, X_Forwarded_Host="evil.example") == 403
        assert get(proxy, X_Forwarded_For=ALICE, Forwarded=f"for={ALICE};host=evil.example") == 200
        assert get(proxy, Forwarded=f"for={ALICE};host=evil.example") == 403
        assert get(proxy, X_Forwarded_Host="api.example, evil.example") == 403

    assert seen[0] == (ALICE, "http", "api.example")


def test_a_client_that_is_no_proxy_cannot_name_an_allowed_host(settings: Settings) -> None:
    with (
        served(settings, trusted="", allowed_hosts=("api.example",)) as (address, _),
        closing(HTTPConnection(address)) as client,
    ):
        assert get(client, Host="evil.example", X_Forwarded_Host="api.example") == 403


def test_streams_are_limited_by_the_client_behind_the_proxy(settings: Settings) -> None:
    with served(settings, api_client_streams=1) as (address, _), ExitStack() as stack:
        for client, status in [
            (ALICE, 200),
            (ALICE, 429),
            (f"9.9.9.9, {ALICE}", 429),
            (BOB, 200),
            ("2001:db8::2", 429),  # another address of the same network
            ("2001:db8:0:1::1", 200),
        ]:
            answer = stack.enter_context(streaming(address, client))
            assert answer.status == status, client


def test_a_forged_header_gains_no_streams(settings: Settings) -> None:
    with (
        served(settings, trusted="", api_client_streams=1) as (address, _),
        streaming(address, ALICE) as first,
        streaming(address, BOB) as second,
    ):
        assert (first.status, second.status) == (200, 429)


def test_websockets_are_limited_by_the_client_behind_the_proxy(settings: Settings) -> None:
    def handshake(client: str) -> bytes:
        return HANDSHAKE.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {client}\r\n\r\n".encode())

    with served(settings, api_client_streams=1) as (address, _), ExitStack() as stack:
        opened = []
        for client in (ALICE, ALICE, BOB):
            connection = stack.enter_context(connected(address))
            connection.sendall(handshake(client))
            assert status_of(read_head(connection)) == 101
            opened.append(connection)

        assert b"too_many_streams" in opened[1].recv(1000)
        with streaming(address, BOB) as third:
            assert third.status == 429


def test_failed_log_ins_count_for_the_client_behind_the_proxy(
    settings: Settings, key_store: Store
) -> None:
    create_key(key_store)
    with served(settings) as (address, _), closing(HTTPConnection(address)) as proxy:
        for _ in range(MAX_ATTEMPTS):
            assert get(proxy, X_Forwarded_For=ALICE) == 401

        assert get(proxy, X_Forwarded_For=f"9.9.9.9, {ALICE}") == 429
        assert get(proxy, X_Forwarded_For=BOB) == 401


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("", 429)])
def test_connections_of_a_proxy_are_not_limited_by_its_address(
    settings: Settings, trusted: str, status: int
) -> None:
    limits = ServingLimits(max_client_connections=1)
    with (
        served(settings, trusted=trusted, limits=limits) as (address, _),
        closing(HTTPConnection(address)) as first,
        closing(HTTPConnection(address)) as second,
    ):
        assert get(first) == 200
        assert get(second) == status


def test_large_headers_and_many_lines_are_read_from_the_right(settings: Settings) -> None:
    lines = [f"X-Forwarded-For: {'9.9.9.9, ' * 1000}9.9.9.9"] * 5
    text = "\r\n".join(["GET /v1/models HTTP/1.1", "Host: localhost", *lines])
    head = f"{text}\r\nX-Forwarded-For: {ALICE}\r\n\r\n"
    with served(settings) as (address, seen), connected(address) as connection:
        connection.sendall(head.encode())
        assert status_of(read_head(connection)) == 200

    assert seen[0][0] == ALICE


def test_bytes_of_bodies_are_limited_by_the_client_behind_the_proxy(settings: Settings) -> None:
    def head_of(client: str, num_bytes: int) -> bytes:
        lines = [
            "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json",
            f"X-Forwarded-For: {client}\r\nExpect: 100-continue\r\nContent-Length: {num_bytes}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    # One client may have 24 MiB of large bodies.
    with served(settings, api_body_mib=64) as (address, _), ExitStack() as stack:
        first, other = (stack.enter_context(connected(address)) for _ in range(2))
        first.sendall(head_of(ALICE, 20 << 20))
        assert status_of(read_head(first)) == 100
        first.sendall(b" " * ((20 << 20) - 1))
        eventually(lambda: _is_refused(address, head_of(ALICE, 10 << 20)))

        other.sendall(head_of(BOB, 10 << 20))
        assert status_of(read_head(other)) == 100


def _is_refused(address: str, head: bytes) -> bool:
    with connected(address) as connection:
        connection.sendall(head)
        return status_of(read_head(connection)) == 429
