"""Fixture of connections to the app on a server of its own."""

from collections.abc import Iterator

import pytest
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from tests.integration.api.websocket.frames import Connect, PromptClient
from tests.integration.http_server import serving


@pytest.fixture
def connect(app: OpenAPI) -> Iterator[Connect]:
    """Return a function that opens connections to the app on a server of its own.

    It takes the headers of the handshake, if there are any.
    """
    opened: list[Client] = []
    with serving(app) as address:

        def open_one(headers: dict[str, str] | None = None) -> Client:
            url = f"ws://{address}/v1/responses"
            opened.append(PromptClient.connect(url, headers=headers or {}))
            return opened[-1]

        yield open_one
        for socket in opened:
            if socket.connected:
                socket.close()
