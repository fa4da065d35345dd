"""What is open in the dashboard ends when its session does."""

import socket
from contextlib import ExitStack

import pytest
import redis
from flask_openapi3.openapi import OpenAPI

from api.access.sessions import COOKIE
from api.services import Services
from tests.integration.dashboard.conftest import SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.security.raw_http import connected, is_open, read_head, read_to_end


def live_output(desk: Desk, visitor: Visitor, connection: socket.socket) -> None:
    """Open the live output of a response that runs."""
    running = desk.running(background=True)
    cookie = visitor.http.get_cookie(COOKIE, path="/dashboard")
    assert cookie is not None
    connection.sendall(
        f"GET /dashboard/responses/resp_{running.id.hex}/events HTTP/1.1\r\n"
        f"Host: localhost\r\nCookie: {COOKIE}={cookie.value}\r\n\r\n".encode()
    )
    assert b" 200 " in read_head(connection)


def test_live_output_ends_when_its_session_does(app: OpenAPI, sign_in: SignIn, desk: Desk) -> None:
    services: Services = app.extensions["antiphon"]
    leaving, other = sign_in(), sign_in()
    with ExitStack() as stack:
        address = stack.enter_context(serving(app))
        ending, staying = (stack.enter_context(connected(address)) for _ in range(2))
        live_output(desk, leaving, ending)
        live_output(desk, other, staying)
        services.open_connections.check()

        assert leaving.send("/dashboard/logout").status_code == 303
        services.open_connections.check()

        read_to_end(ending)
        assert is_open(staying)


def test_while_redis_is_away_no_session_counts_as_ended(
    app: OpenAPI, sign_in: SignIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = app.extensions["antiphon"]
    visitor = sign_in()
    with serving(app) as address, connected(address) as connection:
        live_output(desk, visitor, connection)

        def fail(_names: list[str]) -> None:
            raise redis.ConnectionError

        monkeypatch.setattr(services.sessions._client, "mget", fail)
        services.open_connections.check()

        assert is_open(connection)
