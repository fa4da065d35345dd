"""Streams and WebSockets end when their key is revoked."""

import socket
from collections.abc import Callable, Iterator

import pytest
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.tokens import Token
from models.store.store import Store
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.integration.keys import create_key
from tests.security.raw_http import HANDSHAKE, connected, is_open, read_head, read_to_end


@pytest.fixture
def address(app: OpenAPI) -> Iterator[str]:
    with serving(app) as found:
        yield found


def stream(desk: Desk) -> bytes:
    running = desk.running(background=True)
    return f"GET /v1/responses/resp_{running.id.hex}?stream=true HTTP/1.1\r\nHost: x\r\n".encode()


def websocket(desk: Desk) -> bytes:
    return HANDSHAKE.removesuffix(b"\r\n")


def send(connection: socket.socket, request: bytes, token: Token | None) -> bytes:
    key = f"Authorization: Bearer {token.reveal()}\r\n" if token else ""
    connection.sendall(request.replace(b"Host: x", b"Host: localhost") + key.encode() + b"\r\n")
    return read_head(connection)


@pytest.mark.parametrize("request_of", [stream, websocket])
def test_what_is_open_ends_when_the_key_is_revoked(
    app: OpenAPI,
    address: str,
    key_store: Store,
    desk: Desk,
    request_of: Callable[[Desk], bytes],
) -> None:
    services: Services = app.extensions["antiphon"]
    revoked, kept = create_key(key_store), create_key(key_store)
    with connected(address) as ending, connected(address) as staying:
        request = request_of(desk)
        assert b" 200 " in (head := send(ending, request, revoked)) or b" 101 " in head
        assert b" 200 " in (head := send(staying, request, kept)) or b" 101 " in head

        key_store.api_keys.revoke(revoked.id)
        services.open_connections.check()

        read_to_end(ending)
        assert is_open(staying)


@pytest.mark.parametrize("request_of", [stream, websocket])
def test_what_was_opened_without_a_key_ends_with_the_first_key(
    app: OpenAPI,
    address: str,
    key_store: Store,
    desk: Desk,
    request_of: Callable[[Desk], bytes],
) -> None:
    services: Services = app.extensions["antiphon"]
    with connected(address) as connection:
        head = send(connection, request_of(desk), None)
        assert b" 200 " in head or b" 101 " in head
        services.open_connections.check()
        assert is_open(connection)

        create_key(key_store)
        services.authenticator.forget()
        services.open_connections.check()

        read_to_end(connection)


def test_a_thread_looks_at_the_keys(
    app: OpenAPI, address: str, key_store: Store, desk: Desk
) -> None:
    token = create_key(key_store)
    with connected(address, timeout_s=5) as connection:
        assert b" 200 " in send(connection, stream(desk), token)

        key_store.api_keys.revoke(token.id)

        read_to_end(connection)
