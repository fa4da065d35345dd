"""`generate: false` on a WebSocket: the prompt is computed, and nothing is generated."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import create, fetch, parsed, text_of
from tests.integration.api.websocket.frames import (
    NOT_FOUND,
    Connect,
    read_turn,
    receive,
    run_refused_turn,
    run_turn,
    send,
)
from tests.integration.conftest import MakeWorker
from tests.polling import eventually


@pytest.mark.usefixtures("worker")
def test_a_warm_up_completes_without_output(connect: Connect) -> None:
    socket = connect()

    send(socket, generate=False, instructions="Be brief.", input=[])
    events = read_turn(socket)

    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == [0, 1, 2]
    response = events[-1]["response"]
    assert (response["status"], response["output"]) == ("completed", [])
    assert response["usage"]["output_tokens"] == 0
    assert response["usage"]["input_tokens"] >= len("Be brief.")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("generate", [False, True, None])
def test_prewarm_overrides_generate(connect: Connect, generate: bool | None) -> None:
    options = {"prewarm": True, "mode": "explicit"}
    fields: dict[str, Any] = {"generate": generate, "input": [], "instructions": "Be brief."}

    warm = run_turn(connect(), prompt_cache_options=options, **fields)

    assert (warm["output"], warm["usage"]["output_tokens"]) == ([], 0)
    assert warm["prompt_cache_options"] == {"mode": "explicit", "ttl": "30m"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("prewarm", [False, None])
def test_not_to_prewarm_changes_nothing(connect: Connect, prewarm: bool | None) -> None:
    assert text_of(run_turn(connect(), prompt_cache_options={"prewarm": prewarm}))


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("input_given", ["One.", [], None])
def test_a_turn_goes_on_from_a_warm_up(connect: Connect, store: bool, input_given: object) -> None:
    socket = connect()

    warm = run_turn(socket, generate=False, store=store, input=input_given, instructions="I.")
    first = run_turn(socket, store=store, previous_response_id=warm["id"], input="Two.")
    second = run_turn(socket, store=store, previous_response_id=first["id"], input="Three.")

    said = ["One."] * (input_given == "One.") + ["Two.", text_of(first), "Three."]
    assert second["usage"]["input_tokens"] == len("\n".join(said))


@pytest.mark.usefixtures("worker")
def test_what_is_not_stored_goes_on_from_a_warm_up_that_is(connect: Connect) -> None:
    socket = connect()

    warm = run_turn(socket, generate=False, store=True, input=[], instructions="I.")
    first = run_turn(socket, previous_response_id=warm["id"], input="Two.")
    second = run_turn(socket, previous_response_id=first["id"], input="Three.")

    said = ["Two.", text_of(first), "Three."]
    assert second["usage"]["input_tokens"] == len("\n".join(said))


@pytest.mark.usefixtures("worker")
def test_what_was_warmed_up_is_answered_without_another_input(connect: Connect) -> None:
    socket = connect()
    warm = run_turn(socket, generate=False, input="One.")

    answer = run_turn(socket, previous_response_id=warm["id"], input=[])

    assert text_of(answer)
    assert answer["usage"]["input_tokens"] == len("One.")


@pytest.mark.usefixtures("worker")
def test_a_stored_warm_up_can_be_read_and_replayed(connect: Connect, http: FlaskClient) -> None:
    warm = run_turn(connect(), generate=False, store=True, n=3)

    assert fetch(http, warm["id"]) == warm
    replay = http.get(f"/v1/responses/{warm['id']}?stream=true")
    assert b"event: response.completed\n" in replay.data


def test_a_warm_up_survives_the_loss_of_its_worker(
    connect: Connect, make_worker: MakeWorker, http: FlaskClient
) -> None:
    first = make_worker(script_interval_ms=2_000)
    socket = connect()
    send(socket, generate=False, store=True)
    events = [receive(socket)]
    eventually(lambda: fetch(http, events[0]["response"]["id"])["status"] == "in_progress")
    first.drain()
    make_worker()

    events += read_turn(socket)

    assert [event["sequence_number"] for event in events] == [0, 1, 2]
    assert fetch(http, events[0]["response"]["id"])["output"] == []


@pytest.mark.usefixtures("worker")
def test_a_warm_up_that_is_refused_ends_the_chain(connect: Connect) -> None:
    socket = connect()
    first = run_turn(socket)

    error = run_refused_turn(socket, generate=False, previous_response_id=first["id"], model="x")

    assert error["code"] == "model_not_found"
    assert run_refused_turn(socket, previous_response_id=first["id"])["code"] == NOT_FOUND


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("generate", [True, None])
def test_to_generate_is_the_default(connect: Connect, generate: bool | None) -> None:
    assert text_of(run_turn(connect(), generate=generate))


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"generate": "no"}, "invalid_type", "generate"),
        ({"prompt_cache_options": {"prewarm": 1}}, "invalid_type", "prompt_cache_options.prewarm"),
        ({"generate": False, "input": []}, "missing_required_parameter", "input"),
        ({"generate": False, "input": ""}, "string_below_min_length", "input"),
        ({"input": []}, "array_below_min_length", "input"),
        ({"input": None}, "invalid_type", "input"),
    ],
)
def test_what_leaves_nothing_to_compute_is_refused(
    connect: Connect, fields: dict[str, Any], code: str, param: str
) -> None:
    error = run_refused_turn(connect(), **fields)

    assert (error["status"], error["code"], error["param"]) == (400, code, param)


@pytest.mark.usefixtures("worker")
def test_nothing_is_answered_where_nothing_was_said(connect: Connect) -> None:
    socket = connect()
    warm = run_turn(socket, generate=False, input=[], instructions="Be brief.")

    error = run_refused_turn(socket, previous_response_id=warm["id"], input=[])

    assert (error["code"], error["param"]) == ("missing_required_parameter", "input")


def test_over_http_a_response_is_generated(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", "generate": False})

    assert answer.status_code == 400
    error = parsed(answer)["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "generate")
    assert create(http, generate=True)["status"] == "queued"
