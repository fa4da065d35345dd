"""GET /v1/responses/{id}/request: the body that asks for a stored response anew."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.ids import new_id, parse_response_id, response_wire_id
from models.tables import DEFAULT_PROJECT
from tests.integration.api.requests import create, create_and_wait, error_of, parsed
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker

_TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
_CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
_BODIES: list[dict[str, Any]] = [
    {"input": "Hello."},
    {
        "input": "Hello.",
        "seed": 7,
        "top_k": 3,
        "stop": ["x"],
        "temperature": 0.5,
        "metadata": {"a": "b"},
    },
    {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]},
    {"input": [{"role": "user", "content": "Hi.", "type": "message", "id": "mine"}]},
    {
        "input": [
            {"role": "user", "content": "Look."},
            _CALL,
            {"type": "function_call_output", "call_id": "c1", "output": "A tree."},
        ],
        "tools": [_TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    },
    {
        "input": "Briefly.",
        "text": {"verbosity": "low"},
        "service_tier": "flex",
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
    },
]


def request_of(http: FlaskClient, response_id: str) -> dict[str, Any]:
    answer = http.get(f"/v1/responses/{response_id}/request")
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def stored(desk: Desk, response_id: str) -> Any:
    found = parse_response_id(response_id)
    assert found is not None
    record = desk.store.responses.get(DEFAULT_PROJECT, found)
    assert record is not None
    items = desk.store.items.of_chain(DEFAULT_PROJECT, found)
    return record.model, record.parameters, record.metadata, [dict(item, id="") for item in items]


@pytest.mark.parametrize("body", _BODIES)
def test_the_request_gives_the_same_response_again(
    http: FlaskClient, desk: Desk, body: dict[str, Any]
) -> None:
    first = create(http, **body)

    again = http.post("/v1/responses", json=request_of(http, first["id"]))

    assert again.status_code == 200, again.text
    second = parsed(again)
    assert second["id"] != first["id"]
    assert stored(desk, second["id"]) == stored(desk, first["id"])


def test_a_turn_goes_on_from_the_same_response(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http)
    turn = create(http, previous_response_id=first["id"])

    assert request_of(http, turn["id"])["previous_response_id"] == first["id"]


def test_the_ids_that_clients_gave_are_kept(http: FlaskClient) -> None:
    given = create(http, input=[{"role": "user", "content": "Hi.", "id": "mine"}])
    made = create(http, input="Hi.")

    assert request_of(http, given["id"])["input"][0]["id"] == "mine"
    assert "id" not in request_of(http, made["id"])["input"][0]


def test_the_request_of_a_response_that_is_not_stored_is_refused(http: FlaskClient) -> None:
    temporary = create(http, store=False)

    answer = http.get(f"/v1/responses/{temporary['id']}/request")

    assert answer.status_code == 400
    assert "not stored" in error_of(answer)["message"]


def test_an_unknown_response_has_no_request(http: FlaskClient) -> None:
    answer = http.get(f"/v1/responses/{response_wire_id(new_id())}/request")

    assert answer.status_code == 404


@pytest.mark.usefixtures("worker")
def test_the_request_of_a_stream_is_accepted_without_one(http: FlaskClient) -> None:
    options = {"stream": True, "stream_options": {"include_obfuscation": False}}
    streamed = http.post("/v1/responses", json={"input": "Hello.", **options})
    response_id = json.loads(streamed.text.split("data: ")[1].split("\n")[0])["response"]["id"]

    again = request_of(http, response_id)

    assert "stream_options" not in again
    assert create(http, **again)["status"] == "completed"
