"""Connections that break: what is stored goes on, and its events are read on elsewhere."""

import socket as sockets
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from simple_websocket import Client

from tests.integration.api.requests import (
    DONE,
    create,
    create_and_wait,
    event_of,
    fetch,
    frames,
    wait_for_end,
)
from tests.integration.api.websocket.frames import Connect, read_turn, receive, run_turn, send
from tests.integration.conftest import MakeWorker, RunSql
from tests.polling import eventually


def resume(socket: Client, response_id: str, **fields: Any) -> None:
    frame = {"type": "response.resume", "response_id": response_id} | fields
    socket.send(orjson.dumps(frame).decode())


def break_off(socket: Client) -> None:
    """End a connection without the closing handshake."""
    socket.sock.shutdown(sockets.SHUT_RDWR)
    eventually(lambda: not socket.connected)


def test_what_is_stored_is_read_on_at_every_event(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=12)
    broken, other = connect(), connect()
    send(broken, store=True)
    seen = [receive(broken) for _ in range(6)]
    response_id = seen[0]["response"]["id"]

    break_off(broken)
    resume(other, response_id, starting_after=seen[-1]["sequence_number"])
    rest = read_turn(other)
    whole = seen + rest

    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert rest[-1]["type"] == "response.completed"
    assert rest[-1]["response"] == wait_for_end(http, response_id)
    for number in range(len(whole) - 1):
        resume(other, response_id, starting_after=number)
        assert read_turn(other) == whole[number + 1 :]
        streamed = http.get(
            f"/v1/responses/{response_id}?stream=true&starting_after={number}"
            "&include_obfuscation=false"
        )
        read = [event_of(frame) for frame in frames(streamed) if frame != DONE]
        assert read == whole[number + 1 :]
    resume(other, response_id)
    assert read_turn(other) == whole


def test_several_streams_are_read_on_side_by_side(
    connect: Connect, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=20)
    broken, other = connect(), connect()
    seen: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    for name in seen:
        send(broken, store=True, stream_id=name)
    while any(len(events) < 4 for events in seen.values()):
        event = receive(broken)
        seen[event.pop("stream_id")].append(event)

    break_off(broken)
    for name, events in seen.items():
        number = events[-1]["sequence_number"]
        resume(other, events[0]["response"]["id"], starting_after=number, stream_id=f"{name}-on")
    num_open = 2
    while num_open:
        event = receive(other)
        seen[event.pop("stream_id").removesuffix("-on")].append(event)
        num_open -= event["type"] == "response.completed"

    for events in seen.values():
        assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_what_is_not_stored_is_cancelled_when_its_connection_breaks(
    connect: Connect, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(script_interval_ms=20, script_tokens=100_000)
    socket = connect()
    for name in ("one", "two"):
        send(socket, stream_id=name)
    while receive(socket)["type"] != "response.output_text.delta":
        pass

    break_off(socket)

    eventually(lambda: sql("SELECT DISTINCT status FROM responses") == [("cancelled",)])


def test_a_reader_that_leaves_cancels_nothing(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=50)
    owner, reader = connect(), connect()
    send(owner, store=True)
    response_id = receive(owner)["response"]["id"]
    resume(reader, response_id)
    receive(reader)

    reader.close()

    assert read_turn(owner)[-1]["type"] == "response.completed"
    assert fetch(http, response_id)["status"] == "completed"


def test_what_is_read_on_can_be_cancelled(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=100_000)
    created = create(http)
    socket = connect()
    resume(socket, created["id"], stream_id="main")
    receive(socket)

    socket.send(orjson.dumps({"type": "response.cancel", "response_id": created["id"]}).decode())
    while (event := receive(socket))["type"] != "response.incomplete":
        pass

    assert (event["stream_id"], event["response"]["status"]) == ("main", "cancelled")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"response_id": "resp_0"}, 404, "response_not_found", "response_id"),
        ({"response_id": 3}, 400, "invalid_type", "response_id"),
        ({"response_id": "resp_0", "starting_after": -1}, 400, None, "starting_after"),
        ({"response_id": "resp_0", "starting_after": "1"}, 400, "invalid_type", "starting_after"),
        ({"response_id": "resp_0", "input": "x"}, 400, "unknown_parameter", "input"),
    ],
)
def test_a_resume_is_validated(
    connect: Connect, fields: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    socket = connect()

    resume(socket, **({"stream_id": "main"} | fields))
    answer = receive(socket)

    assert (answer["status"], answer["stream_id"]) == (status, "main")
    assert code in (None, answer["error"]["code"])
    assert answer["error"]["param"] == param
    assert run_turn(socket)["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_what_was_not_stored_is_not_read_on(connect: Connect) -> None:
    socket = connect()
    unstored = run_turn(socket)

    resume(socket, unstored["id"])

    assert receive(socket)["error"]["code"] == "response_not_found"


@pytest.mark.usefixtures("worker")
def test_a_response_of_http_is_read_with_the_names_that_the_connection_has(
    connect: Connect, http: FlaskClient
) -> None:
    ended = create_and_wait(http)
    socket = connect()

    resume(socket, ended["id"], starting_after=0)

    assert read_turn(socket)[-1]["response"] == ended


def test_a_temporary_response_is_read_on_while_it_runs_and_afterwards(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=12)
    socket, response_id = connect(), create(http, store=False)["id"]

    resume(socket, response_id)
    live = read_turn(socket)
    resume(socket, response_id, starting_after=3)
    rest = read_turn(socket)

    assert [event["sequence_number"] for event in live] == list(range(len(live)))
    assert live[-1]["response"] == wait_for_end(http, response_id)
    assert rest == live[4:]
