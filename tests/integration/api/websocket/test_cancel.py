"""`response.cancel` and `response.steer` on a WebSocket."""

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from models.errors import UnavailableError
from tests.integration.api.requests import fetch
from tests.integration.api.websocket.frames import (
    NOT_FOUND,
    Connect,
    read_turn,
    receive,
    run_turn,
    send,
)
from tests.integration.conftest import MakeWorker
from tests.polling import eventually


@pytest.fixture
def endless(make_worker: MakeWorker) -> None:
    """Start a worker whose answers take minutes."""
    make_worker(script_interval_ms=20, script_tokens=100_000)


def cancel(socket: Client, **fields: Any) -> None:
    socket.send(orjson.dumps({"type": "response.cancel"} | fields).decode())


def read_end(socket: Client, stream_id: str | None) -> dict[str, Any]:
    """Read to the end of the turn of a stream; return its response."""
    while True:
        event = receive(socket)
        if "response" in event and event.get("stream_id") == stream_id:
            response: dict[str, Any] = event["response"]
            if response["status"] != "in_progress":
                assert event["type"] == "response.incomplete"
                return response


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("stream_id", ["main", None])
@pytest.mark.parametrize("is_by_id", [True, False])
def test_a_running_response_is_cancelled(
    connect: Connect, store: bool, stream_id: str | None, is_by_id: bool
) -> None:
    socket = connect()
    send(socket, store=store, stream_id=stream_id)
    created = receive(socket)["response"]

    cancel(socket, **({"response_id": created["id"]} if is_by_id else {"stream_id": stream_id}))
    ended = read_end(socket, stream_id)

    assert (ended["id"], ended["status"]) == (created["id"], "cancelled")


@pytest.mark.usefixtures("endless")
def test_other_streams_go_on(connect: Connect, http: FlaskClient) -> None:
    socket = connect()
    for name in ("one", "other"):
        send(socket, store=True, stream_id=name)
    ids: dict[str, str] = {}
    while len(ids) < 2:
        event = receive(socket)
        if event["type"] == "response.created":
            ids[event["stream_id"]] = event["response"]["id"]

    cancel(socket, stream_id="one")

    assert read_end(socket, "one")["status"] == "cancelled"
    eventually(lambda: fetch(http, ids["other"])["status"] == "in_progress")
    while receive(socket)["stream_id"] != "other":
        pass


@pytest.mark.usefixtures("endless")
def test_the_next_request_of_a_stream_follows_a_cancelled_one(connect: Connect) -> None:
    socket = connect()
    send(socket, stream_id="main")
    send(socket, stream_id="main", metadata={"number": "2"})
    receive(socket)

    cancel(socket, stream_id="main")
    read_end(socket, "main")
    following = receive(socket)

    assert following["type"] == "response.created"
    assert following["response"]["metadata"] == {"number": "2"}


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("store", [True, False])
def test_a_cancel_may_come_before_the_response_is_created(connect: Connect, store: bool) -> None:
    socket = connect()

    send(socket, store=store, stream_id="main")
    cancel(socket, stream_id="main")

    assert read_end(socket, "main")["status"] == "cancelled"


@pytest.mark.parametrize("store", [True, False])
def test_a_response_that_waits_for_a_worker_is_cancelled(connect: Connect, store: bool) -> None:
    socket = connect()
    send(socket, store=store, metadata={"a": "b"}, temperature=0.5)
    created = receive(socket)["response"]

    cancel(socket)
    ended = read_end(socket, None)

    assert ended == created | {"status": "cancelled"}


@pytest.mark.usefixtures("endless")
def test_a_second_cancel_changes_nothing(connect: Connect) -> None:
    socket = connect()
    send(socket, stream_id="main")
    receive(socket)

    for _ in range(3):
        cancel(socket, stream_id="main")

    assert read_end(socket, "main")["status"] == "cancelled"


@pytest.mark.usefixtures("endless")
def test_a_cancel_that_fails_is_reported_and_can_be_repeated(
    connect: Connect, app: OpenAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = connect()
    send(socket, stream_id="main")
    receive(socket)

    def refuse(*_: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(app.extensions["antiphon"].store.claims, "request_cancel", refuse)
        cancel(socket, stream_id="main")
        while (failure := receive(socket))["type"] != "error":
            pass
    cancel(socket, stream_id="main")

    assert (failure["stream_id"], failure["error"]["code"]) == ("main", "service_unavailable")
    assert read_end(socket, "main")["status"] == "cancelled"


@pytest.mark.usefixtures("worker")
def test_a_chain_does_not_go_on_from_what_was_cancelled(
    connect: Connect, make_worker: MakeWorker
) -> None:
    socket = connect()
    first = run_turn(socket)
    send(socket, previous_response_id=first["id"])
    cancel(socket)
    ended = read_turn(socket)[-1]["response"]
    if ended["status"] == "completed":
        pytest.skip("the response was faster than its cancel")

    send(socket, previous_response_id=first["id"])

    assert receive(socket)["error"]["code"] == NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "stream_id"),
        ({"stream_id": "main"}, "stream_id"),
        ({"response_id": "resp_0"}, "response_id"),
    ],
)
def test_what_does_not_run_is_not_cancelled(
    connect: Connect, fields: dict[str, Any], param: str
) -> None:
    socket = connect()

    cancel(socket, **fields)
    answer = receive(socket)

    assert (answer["status"], answer["error"]["code"]) == (404, "response_not_found")
    assert answer["error"]["param"] == param
    assert answer.get("stream_id") == fields.get("stream_id")


@pytest.mark.usefixtures("endless")
def test_a_response_is_not_cancelled_on_another_stream_or_connection(
    connect: Connect, http: FlaskClient
) -> None:
    socket, other = connect(), connect()
    send(socket, store=True, stream_id="main")
    created = receive(socket)["response"]

    cancel(socket, response_id=created["id"], stream_id="other")
    while (answer := receive(socket))["type"] != "error":
        pass
    cancel(other, response_id=created["id"])
    elsewhere = receive(other)

    assert (answer["stream_id"], answer["error"]["code"]) == ("other", "response_not_found")
    assert elsewhere["error"]["code"] == "response_not_found"
    eventually(lambda: fetch(http, created["id"])["status"] == "in_progress")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"response_id": 3}, "invalid_type", "response_id"),
        ({"colour": "red"}, "unknown_parameter", "colour"),
    ],
)
def test_a_cancel_is_validated(
    connect: Connect, fields: dict[str, Any], code: str, param: str
) -> None:
    socket = connect()

    cancel(socket, stream_id="main", **fields)
    answer = receive(socket)

    assert (answer["stream_id"], answer["error"]["code"]) == ("main", code)
    assert answer["error"]["param"] == param


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("size", [1, 100_000])
def test_steering_is_refused_with_its_input(connect: Connect, size: int) -> None:
    socket = connect()
    steer = {"previous_response_id": "resp_1", "input": "x" * size}

    socket.send(orjson.dumps({"type": "response.steer"} | steer).decode())
    answer = receive(socket)

    assert answer["type"] == "response.steer.failed"
    assert answer["steer"] == steer
    assert answer["error"]["code"] == "steering_not_supported"
    assert run_turn(socket)["status"] == "completed"
