"""WebSocket on /v1/responses: turns on one connection, and its cache of unstored contexts."""

import contextlib
import gc
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from simple_websocket import ConnectionClosed

from api.streaming.tail import Tail
from api.streaming.timings import StreamTimings
from models.errors import UnavailableError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.streams.event_log import LoggedEvent
from tests.integration.api.requests import create_and_wait, fetch, text_of
from tests.integration.api.websocket.frames import (
    NOT_FOUND,
    Connect,
    read_turn,
    receive,
    run_refused_turn,
    run_turn,
    send,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.in_process import InProcessWorker
from tests.polling import PATIENCE_S, eventually


@pytest.mark.usefixtures("worker")
def test_it_works(connect: Connect) -> None:
    socket = connect()

    send(socket)
    events = read_turn(socket)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text_of(events[-1]["response"])


@pytest.mark.usefixtures("worker")
def test_requests_sent_ahead_are_answered_in_order(connect: Connect) -> None:
    socket = connect()

    for number in ("1", "2", "3"):
        send(socket, metadata={"number": number})
    ends = [read_turn(socket)[-1]["response"] for _ in range(3)]

    assert [end["metadata"]["number"] for end in ends] == ["1", "2", "3"]
    assert {end["status"] for end in ends} == {"completed"}


@pytest.mark.usefixtures("worker")
def test_what_is_not_stored_can_go_on_where_it_was_made(
    connect: Connect, client: redis.Redis
) -> None:
    socket = connect()

    first = run_turn(socket, input="One.")
    second = run_turn(socket, input="Two.", previous_response_id=first["id"])
    third = run_turn(socket, input="Three.", previous_response_id=second["id"])

    said = ["One.", text_of(first), "Two.", text_of(second), "Three."]
    assert third["usage"]["input_tokens"] == len("\n".join(said))
    assert third["previous_response_id"] == second["id"]
    eventually(lambda: client.keys("antiphon:unstored:*") == [])


@pytest.mark.usefixtures("worker")
def test_a_response_ends_also_if_its_context_cannot_be_kept(
    connect: Connect, app: OpenAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = connect()

    def refuse(*_: object) -> None:
        raise redis.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(app.extensions["antiphon"].unstored, "get", refuse)
        first = run_turn(socket)
    error = run_refused_turn(socket, previous_response_id=first["id"])

    assert error["code"] == NOT_FOUND
    assert run_turn(socket)["status"] == "completed"


def test_a_response_ends_also_if_the_chain_before_it_is_deleted(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=20)
    first = create_and_wait(http)
    socket = connect()
    send(socket, previous_response_id=first["id"])
    while receive(socket)["type"] != "response.output_text.delta":
        pass
    http.delete(f"/v1/responses/{first['id']}")

    end = read_turn(socket)[-1]

    assert end["type"] == "response.completed"
    error = run_refused_turn(socket, previous_response_id=end["response"]["id"])
    assert error["code"] == NOT_FOUND


@pytest.mark.usefixtures("worker")
def test_only_the_latest_can_go_on(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket)
    run_turn(socket, previous_response_id=first["id"])

    assert run_refused_turn(socket, previous_response_id=first["id"])["code"] == NOT_FOUND


@pytest.mark.usefixtures("worker")
def test_nothing_of_it_is_held_but_its_context(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket, instructions="Be brief.")

    def num_held() -> int:
        gc.collect()
        # Not `isinstance`: some objects of libraries warn when they are asked for their class.
        records = [one for one in gc.get_objects() if type(one) is ResponseRecord]
        return sum(response_wire_id(record.id) == first["id"] for record in records)

    eventually(lambda: num_held() == 0)
    assert run_turn(socket, previous_response_id=first["id"])["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_another_connection_knows_nothing_of_it(connect: Connect) -> None:
    first = run_turn(connect())
    other = connect()

    error = run_refused_turn(other, previous_response_id=first["id"])

    assert (error["status"], error["code"]) == (404, NOT_FOUND)
    assert error["param"] == "previous_response_id"
    assert run_turn(other)["status"] == "completed"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("fault", [{"temperature": 3}, {"colour": "red"}, {"model": "other"}])
def test_a_turn_that_fails_ends_the_chain_it_went_on_from(
    connect: Connect, fault: dict[str, Any]
) -> None:
    socket = connect()
    first = run_turn(socket)

    assert run_refused_turn(socket, previous_response_id=first["id"], **fault)["status"] in (
        400,
        404,
    )

    for _ in range(2):
        assert run_refused_turn(socket, previous_response_id=first["id"])["code"] == NOT_FOUND


@pytest.mark.usefixtures("worker")
def test_a_turn_that_fails_leaves_other_chains_alone(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket)

    assert run_refused_turn(socket, temperature=3)["param"] == "temperature"

    assert run_turn(socket, previous_response_id=first["id"])["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_what_was_not_stored_is_not_stored_by_going_on(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket)

    error = run_refused_turn(socket, previous_response_id=first["id"], store=True)

    assert (error["status"], error["param"]) == (400, "store")


def test_what_is_stored_goes_on_anywhere(
    connect: Connect, http: FlaskClient, worker: InProcessWorker
) -> None:
    first = create_and_wait(http, input="One.")

    second = run_turn(connect(), store=True, previous_response_id=first["id"], input="Two.")
    third = run_turn(connect(), previous_response_id=second["id"], input="Three.")

    assert fetch(http, second["id"]) == second
    said = ["One.", text_of(first), "Two.", text_of(second), "Three."]
    assert third["usage"]["input_tokens"] == len("\n".join(said))


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"[]", "invalid_type", None),
        (b'{"input": "Hello."}', "invalid_value", "type"),
        (b'{"type": "response.inject"}', "invalid_value", "type"),
        (b'{"type": ["response.create"]}', "invalid_value", "type"),
        (b'{"type": "response.create"}', "missing_required_parameter", "input"),
        (b'{"type": "response.create", "input": "x", "n": "1"}', None, "n"),
        (b'{"type": "response.create", "input": "x", "stream": false}', None, "stream"),
        (
            b'{"type": "response.create", "input": "x", "stream_options": '
            b'{"include_obfuscation": true}}',
            "unsupported_parameter",
            "stream_options.include_obfuscation",
        ),
        (b'{"type": "response.create", "input": "x", "background": true}', None, "background"),
    ],
)
def test_a_frame_that_is_no_request_is_refused_by_name(
    connect: Connect, frame: bytes, code: str | None, param: str | None
) -> None:
    socket = connect()

    socket.send(frame.decode())
    answer = receive(socket)

    assert (answer["type"], answer["status"]) == ("error", 400)
    assert answer["error"]["param"] == param
    assert code in (None, answer["error"]["code"])
    assert socket.connected


def test_a_frame_that_names_a_stream_is_refused_on_it(connect: Connect) -> None:
    socket = connect()

    socket.send('{"type": "response.inject", "stream_id": "main"}')
    answer = receive(socket)

    assert (answer["stream_id"], answer["error"]["param"]) == ("main", "type")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True, "background": False},
        {"stream": None, "stream_options": None},
        {"stream_options": {"include_obfuscation": False, "include_usage": True}},
    ],
)
def test_fields_that_change_nothing_are_taken(connect: Connect, fields: dict[str, Any]) -> None:
    assert run_turn(connect(), **fields)["status"] == "completed"


@pytest.mark.parametrize("stream_timings", [StreamTimings(max_age_s=0.1)])
def test_a_connection_ends_when_its_time_is_up(connect: Connect) -> None:
    socket = connect()

    answer = receive(socket)

    assert answer["error"]["code"] == "websocket_connection_limit_reached"
    with pytest.raises(ConnectionClosed):
        socket.receive(timeout=PATIENCE_S)


def test_a_client_that_leaves_cancels_what_it_waited_for(
    connect: Connect, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=50, script_tokens=10_000)
    socket = connect()
    send(socket, store=True)
    created = receive(socket)["response"]

    socket.close()

    eventually(lambda: fetch(http, created["id"])["status"] == "cancelled")


def test_what_an_error_keeps_from_its_client_is_cancelled(
    connect: Connect, make_worker: MakeWorker, sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> list[LoggedEvent]:
        raise UnavailableError

    monkeypatch.setattr(Tail, "_receive", fail)
    make_worker(script_interval_ms=10, script_tokens=100_000)
    socket = connect()
    send(socket)

    assert read_turn(socket)[-1]["error"]["code"] == "service_unavailable"

    eventually(lambda: sql("SELECT status FROM responses") == [("cancelled",)])


def test_a_client_cannot_send_ahead_without_end(connect: Connect) -> None:
    socket = connect()

    for _ in range(40):
        send(socket)

    eventually(lambda: not socket.connected)
    assert socket.close_reason == 1008


def test_connections_take_the_places_of_streams(connect: Connect, app: OpenAPI) -> None:
    places = app.extensions["antiphon"].places
    with contextlib.ExitStack() as taken:
        for _ in range(24):
            taken.enter_context(places.reserve("other", "other"))
        socket = connect()
        answer = receive(socket)

    assert (answer["status"], answer["error"]["code"]) == (503, "server_overloaded")
    with pytest.raises(ConnectionClosed):
        socket.receive(timeout=PATIENCE_S)
    other = connect()
    socket_open = run_refused_turn(other, temperature=3)
    assert socket_open["param"] == "temperature"
