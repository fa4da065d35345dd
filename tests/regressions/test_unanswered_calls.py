"""A call without its output is refused by its id, wherever it stands (case unanswered_call)."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import create_and_wait, error_of, parsed
from tests.regressions.case_files import requests_of

CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
TOOL = {"type": "function", "name": "f"}
COUNT = "/v1/responses/input_tokens"
USER = {"role": "user", "content": "a"}


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "x"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"script_text": f"{CALL}\n{CALL}\fWell."})


def refusal(http: FlaskClient, path: str = "/v1/responses", **body: Any) -> dict[str, Any]:
    """Return the error of a request that must be refused with a 400, without being stored."""
    answer = http.post(path, json=body if path == COUNT else {**body, "background": True})

    assert answer.status_code == 400, answer.text
    return error_of(answer)


@pytest.mark.parametrize("request_of_case", requests_of("unanswered_call"))
def test_the_case(http: FlaskClient, request_of_case: dict[str, Any]) -> None:
    error = refusal(http, request_of_case["path"], **request_of_case["body"])

    assert error["message"] == "No tool output found for function call 'c9'."
    assert (error["param"], error["code"]) == ("input[1].call_id", "missing_tool_output")
    assert parsed(http.get("/v1/responses"))["data"] == []


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([USER, call("c1"), call("c2"), output("c2")], "input[1].call_id"),
        ([USER, call("c1"), call("c2"), output("c1")], "input[2].call_id"),
        ([call("c1"), output("c1"), call("c1")], "input[2].call_id"),
        ([call("c1"), call("c1"), output("c1")], "input[1].call_id"),
        ([call("c1")], "input[0].call_id"),
    ],
    ids=["first of two", "second of two", "same id again", "same id twice", "alone"],
)
def test_each_of_several_calls_needs_its_output(
    http: FlaskClient, items: list[dict[str, Any]], param: str
) -> None:
    for path in ("/v1/responses", COUNT):
        assert refusal(http, path, input=items)["param"] == param


@pytest.mark.usefixtures("worker")
def test_calls_that_have_their_outputs_are_served(http: FlaskClient) -> None:
    parallel = [call("c1"), call("c2"), output("c2"), output("c1")]
    again = [call("c1"), output("c1"), USER]

    assert create_and_wait(http, input=[USER, *parallel, *again])["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_along_the_chain(http: FlaskClient) -> None:
    first = create_and_wait(http, tools=[TOOL])
    [made, other] = [item for item in first["output"] if item["type"] == "function_call"]

    bare = refusal(http, previous_response_id=first["id"], input="and now?")
    half = refusal(http, previous_response_id=first["id"], input=[output(made["call_id"])])
    whole = create_and_wait(
        http,
        previous_response_id=first["id"],
        input=[output(item["call_id"]) for item in (made, other)],
    )

    assert (made["call_id"] in bare["message"], bare["param"]) == (True, "input")
    assert other["call_id"] in half["message"]
    assert whole["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_a_reference_to_a_call_needs_its_output_too(http: FlaskClient) -> None:
    first = create_and_wait(http, tools=[TOOL])
    made = next(item for item in first["output"] if item["type"] == "function_call")
    reference = {"type": "item_reference", "id": made["id"]}

    error = refusal(http, input=[USER, reference])
    answered = create_and_wait(http, input=[USER, reference, output(made["call_id"])])

    assert (made["call_id"] in error["message"], error["param"]) == (True, "input[1].call_id")
    assert answered["status"] == "completed"


@pytest.mark.usefixtures("worker")
def test_in_a_conversation(http: FlaskClient) -> None:
    items = [USER, call("c7")]
    conversation = parsed(http.post("/v1/conversations", json={"items": items}))["id"]

    error = refusal(http, conversation=conversation, input="b")
    http.post(f"/v1/conversations/{conversation}/items", json={"items": [output("c7")]})
    response = create_and_wait(http, conversation=conversation, input="b")

    assert "'c7'" in error["message"]
    assert response["status"] == "completed"


def test_kinds_of_calls_that_are_not_served_are_refused_by_name(http: FlaskClient) -> None:
    for kind in ("image_generation_call", "computer_call", "program"):
        error = refusal(http, input=[USER, {"type": kind, "call_id": "c", "name": "f"}])

        assert error["param"] == "input[1].type"
