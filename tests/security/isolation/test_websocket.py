"""WebSockets: ids of another project are answered as those that nothing has."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from models.store.store import Store
from tests.integration.api.websocket.frames import PromptClient, receive
from tests.integration.http_server import serving
from tests.integration.keys import bearer, create_key
from tests.security.isolation.belongings import Belongings, Caller, nothing
from tests.security.isolation.test_fields import FIELDS
from tests.security.isolation.test_routes import snapshot
from tests.security.raw_http import (
    HANDSHAKE,
    connected,
    is_open,
    open_websocket,
    read_head,
    status_of,
)

_EVENTS: dict[str, Callable[[Belongings], dict[str, Any]]] = {
    "response.cancel": lambda of: {"type": "response.cancel", "response_id": of.response},
    "response.resume": lambda of: {"type": "response.resume", "response_id": of.response},
} | {
    field: lambda of, make=make: {"type": "response.create"} | make(of)
    for field, make in FIELDS.items()
}


@pytest.fixture
def socket(app: OpenAPI, us: Caller) -> Iterator[Client]:
    with serving(app) as address:
        opened = PromptClient.connect(f"ws://{address}/v1/responses", headers=us.headers)
        yield opened
        opened.close()


def answer_to(socket: Client, event: dict[str, Any], of: Belongings) -> str:
    socket.send(orjson.dumps(event).decode())
    return of.replace_in(str(receive(socket)))


@pytest.mark.parametrize("name", _EVENTS)
def test_an_id_of_another_project_is_refused_as_an_unknown_one(
    socket: Client, them: Caller, theirs: Belongings, name: str
) -> None:
    before = snapshot(them, theirs)
    unknown = nothing()

    expected = answer_to(socket, _EVENTS[name](unknown), unknown)
    assert answer_to(socket, _EVENTS[name](theirs), theirs) == expected

    assert "'type': 'error'" in expected
    assert snapshot(them, theirs) == before


def test_the_handshake_needs_a_key(app: OpenAPI, key_store: Store) -> None:
    key = bearer(create_key(key_store))["Authorization"].encode()
    with serving(app) as address:
        with connected(address) as connection:
            connection.sendall(HANDSHAKE)
            assert status_of(read_head(connection)) == 401
        with open_websocket(address, b"Authorization: " + key + b"\r\n") as connection:
            assert is_open(connection)
