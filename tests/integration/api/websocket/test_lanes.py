"""Several streams on one WebSocket: each in order, all at the same time."""

import contextlib
from collections import defaultdict
from typing import Any

import pytest
from flask_openapi3.openapi import OpenAPI
from pydantic import TypeAdapter
from simple_websocket import Client, ConnectionClosed

from api.streaming.timings import StreamTimings
from models.events.state_machine import EventMachine
from models.schemas.event_types import BaseEvent
from models.schemas.events import Event
from models.settings import Settings
from tests.integration.api.requests import text_of
from tests.integration.api.websocket.frames import (
    NOT_FOUND,
    TERMINAL,
    Connect,
    receive,
    run_turn,
    send,
)
from tests.integration.conftest import MakeWorker
from tests.polling import PATIENCE_S, eventually

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


def read_streams(socket: Client, num_ends: int) -> list[dict[str, Any]]:
    """Read events until so many turns have ended."""
    events: list[dict[str, Any]] = []
    while num_ends:
        events.append(receive(socket))
        num_ends -= events[-1]["type"] in TERMINAL
    return events


def split(events: list[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """Return the events of each stream, without its id."""
    streams = defaultdict(list)
    for event in events:
        stream_id = event.pop("stream_id", None)
        streams[stream_id].append(event)
    return dict(streams)


def assert_legal(events: list[dict[str, Any]]) -> None:
    """Assert that these are all events of one response, in a legal order."""
    machine = EventMachine()
    for event in events:
        machine.replay(_EVENT.validate_python(event))
    assert events[-1]["type"] == "response.completed"


@pytest.mark.usefixtures("worker")
def test_events_name_their_stream(connect: Connect) -> None:
    socket = connect()

    send(socket, stream_id="main")
    named = read_streams(socket, 1)
    send(socket, stream_id=None)
    unnamed = read_streams(socket, 1)

    assert {event["stream_id"] for event in named} == {"main"}
    assert not any("stream_id" in event for event in unnamed)


@pytest.mark.parametrize("num_streams", [2, 5])
def test_streams_run_side_by_side(
    connect: Connect, make_worker: MakeWorker, num_streams: int
) -> None:
    make_worker(script_interval_ms=10, script_tokens=30)
    socket = connect()
    names = [None, *(f"agent_{number}" for number in range(1, num_streams))]

    for name in names:
        send(socket, stream_id=name)
    events = read_streams(socket, num_streams)

    order = [event.get("stream_id") for event in events]
    streams = split(events)
    assert set(streams) == set(names)
    for name in names:
        assert_legal(streams[name])
        inside = order[order.index(name) : len(order) - order[::-1].index(name)]
        assert set(inside) == set(names), "another stream had to wait for this one"


def test_a_stream_answers_one_request_after_the_other(
    connect: Connect, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=5, script_tokens=10)
    socket = connect()

    for number in range(3):
        send(socket, stream_id="one", metadata={"number": str(number)})
        send(socket, stream_id="other", metadata={"number": str(number)})
    streams = split(read_streams(socket, 6))

    for events in streams.values():
        ends = [place for place, event in enumerate(events) if event["type"] in TERMINAL]
        assert len(ends) == 3
        begin = 0
        for number, end in enumerate(ends):
            turn = events[begin : end + 1]
            assert_legal(turn)
            assert turn[-1]["response"]["metadata"] == {"number": str(number)}
            begin = end + 1


@pytest.mark.parametrize("stream_id", ["", "two words", "ä", "x" * 257, 3, ["a"], {"a": 1}, "a\n"])
def test_a_stream_has_a_plain_name(connect: Connect, stream_id: object) -> None:
    socket = connect()

    send(socket, stream_id=stream_id)
    answer = receive(socket)

    assert "stream_id" not in answer
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_stream_id")
    assert answer["error"]["param"] == "stream_id"
    assert socket.connected


@pytest.mark.usefixtures("worker")
def test_a_connection_has_a_limited_number_of_streams(connect: Connect) -> None:
    socket = connect()
    for number in range(32):
        send(socket, stream_id=f"agent_{number}", temperature=3)
        assert receive(socket)["stream_id"] == f"agent_{number}"

    send(socket, stream_id="one-too-many")
    refused = receive(socket)

    assert refused["stream_id"] == "one-too-many"
    assert refused["error"]["code"] == "websocket_stream_limit_reached"
    assert refused["error"]["param"] == "stream_id"
    assert run_turn(socket)["status"] == "completed"
    assert run_turn(socket, stream_id="agent_31")["status"] == "completed"


def test_what_exceeds_the_running_turns_waits(connect: Connect, make_worker: MakeWorker) -> None:
    make_worker(script_interval_ms=20, script_tokens=100_000, max_sequences=20)
    socket = connect()

    for number in range(17):
        send(socket, stream_id=f"agent_{number}")
    seen: set[str] = set()
    while len(seen) < 16:
        event = receive(socket)
        if event["type"] == "response.created":
            seen.add(event["stream_id"])
    assert "agent_16" not in seen
    socket.send('{"type": "response.cancel", "stream_id": "agent_3"}')
    created, cancelled = False, False
    while not created:
        event = receive(socket)
        cancelled |= event["type"] in TERMINAL and event["stream_id"] == "agent_3"
        created = event["type"] == "response.created" and event["stream_id"] == "agent_16"

    assert cancelled


@pytest.mark.usefixtures("worker")
def test_an_error_names_the_stream_of_its_request(connect: Connect) -> None:
    socket = connect()

    send(socket, stream_id="main", temperature=3)
    answer = receive(socket)

    assert set(answer) == {"type", "status", "error", "stream_id"}
    assert (answer["stream_id"], answer["error"]["param"]) == ("main", "temperature")
    assert run_turn(socket, stream_id="main")["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_a_conversation_forks_onto_another_stream(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket, stream_id="main", input="One.")

    fork = run_turn(socket, stream_id="fork", input="Two.", previous_response_id=first["id"])
    main = run_turn(socket, stream_id="main", input="Three.", previous_response_id=first["id"])
    more = run_turn(socket, stream_id="fork", input="Four.", previous_response_id=fork["id"])

    assert main["previous_response_id"] == fork["previous_response_id"] == first["id"]
    said = ["One.", text_of(first), "Two.", text_of(fork), "Four."]
    assert more["usage"]["input_tokens"] == len("\n".join(said))


@pytest.mark.usefixtures("worker")
def test_a_fork_that_fails_leaves_its_source(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket, stream_id="main")

    send(socket, stream_id="fork", previous_response_id=first["id"], temperature=3)
    assert receive(socket)["error"]["param"] == "temperature"
    second = run_turn(socket, stream_id="main", previous_response_id=first["id"])
    send(socket, stream_id="main", previous_response_id=second["id"], temperature=3)
    assert receive(socket)["error"]["param"] == "temperature"
    send(socket, stream_id="main", previous_response_id=second["id"])

    assert receive(socket)["error"]["code"] == NOT_FOUND


def test_each_turn_that_runs_takes_a_place_of_its_client(
    connect: Connect, app: OpenAPI, settings: Settings, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=20, script_tokens=100_000)
    places = app.extensions["antiphon"].places
    socket = connect()
    send(socket, stream_id="first")
    receive(socket)
    assert places.num_taken == 1
    with contextlib.ExitStack() as taken:
        for _ in range(settings.api_streams - 2):
            taken.enter_context(places.reserve("other", "other"))
        send(socket, stream_id="second")
        while receive(socket).get("stream_id") != "second":
            pass
        send(socket, stream_id="third")
        while (refused := receive(socket)).get("stream_id") != "third":
            pass

    assert (refused["type"], refused["error"]["code"]) == ("error", "server_overloaded")
    for name in ("first", "second"):
        socket.send(f'{{"type": "response.cancel", "stream_id": "{name}"}}')
    read_streams(socket, 2)
    eventually(lambda: places.num_taken == 1)


@pytest.mark.parametrize("stream_timings", [StreamTimings(max_age_s=0.5)])
def test_an_old_connection_ends_when_its_turns_have_ended(
    connect: Connect, make_worker: MakeWorker
) -> None:
    make_worker(script_interval_ms=50, script_tokens=40)
    socket = connect()
    send(socket, stream_id="main")
    events = [receive(socket) for _ in range(20)]

    send(socket, stream_id="late")
    events += read_streams(socket, 2)
    expired = receive(socket)

    main, [late] = (
        [event for event in events if event["stream_id"] == name] for name in ("main", "late")
    )
    assert main[-1]["type"] == "response.completed"
    for error in (late, expired):
        assert error["error"]["code"] == "websocket_connection_limit_reached"
    assert "stream_id" not in expired
    with pytest.raises(ConnectionClosed):
        socket.receive(timeout=PATIENCE_S)
