"""Function calls as clients see them: called, answered, and refused if something is missing."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import create_and_wait, error_of, parsed
from tests.integration.conftest import MakeWorker

CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
TURNS = [f"I ask.\n{CALL}\n{CALL}", "It is 7."]
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "description": None,
    "parameters": {"type": "object"},
    "strict": None,
}
NESTED = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OUTPUTS: list[Any] = ["7", [{"type": "input_text", "text": "7"}]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"script_text": "\f".join(TURNS)})


def calls_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == "function_call"]


def answer_to(call: dict[str, Any], output: Any = "7") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call["call_id"], "output": output}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("tool", [TOOL, NESTED], ids=["flat", "nested"])
def test_calls_are_items_of_the_output(http: FlaskClient, tool: dict[str, Any]) -> None:
    response = create_and_wait(http, tools=[tool])

    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == [
        *("message", "function_call", "function_call")
    ]
    for call in calls_of(response):
        assert (call["name"], call["arguments"]) == ("f", '{"a": 1}')
        assert call["call_id"]
    assert response["tools"] == [TOOL]
    assert (response["tool_choice"], response["parallel_tool_calls"]) == ("auto", True)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("limit", [{"parallel_tool_calls": False}, {"max_tool_calls": 1}])
def test_there_are_no_more_calls_than_asked_for(http: FlaskClient, limit: dict[str, Any]) -> None:
    response = create_and_wait(http, tools=[TOOL], **limit)

    assert response["status"] == "completed"
    assert len(calls_of(response)) == 1
    assert {name: response[name] for name in limit} == limit


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("output", OUTPUTS, ids=["string", "parts"])
def test_the_output_of_a_call_goes_back_along_the_chain(http: FlaskClient, output: Any) -> None:
    first = create_and_wait(http, tools=[TOOL])

    second = create_and_wait(
        http,
        previous_response_id=first["id"],
        input=[answer_to(call, output) for call in calls_of(first)],
        tools=[TOOL],
    )

    [message] = second["output"]
    assert message["content"][0]["text"] == "It is 7."


@pytest.mark.usefixtures("worker")
def test_or_within_the_input(http: FlaskClient) -> None:
    first = create_and_wait(http, tools=[TOOL])
    question = {"role": "user", "content": "Hello."}
    answers = [answer_to(call) for call in calls_of(first)]

    second = create_and_wait(http, input=[question, *first["output"], *answers], tools=[TOOL])

    assert [item["type"] for item in second["output"]] == ["message"]


@pytest.mark.usefixtures("worker")
def test_with_no_choice_of_tools_what_looks_like_a_call_is_text(http: FlaskClient) -> None:
    response = create_and_wait(http, tools=[TOOL], tool_choice="none")

    assert [item["type"] for item in response["output"]] == ["message"]
    assert response["tool_choice"] == "none"


@pytest.mark.usefixtures("worker")
def test_a_function_that_is_not_allowed_is_not_called(http: FlaskClient) -> None:
    other = {**TOOL, "name": "g"}
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "g"}],
    }

    response = create_and_wait(http, tools=[TOOL, other], tool_choice=allowed)

    assert calls_of(response) == []
    assert response["tool_choice"] == allowed


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([answer_to({"call_id": "c"})], "input[0].call_id"),
        (
            [
                answer_to({"call_id": "c"}),
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            ],
            "input[0].call_id",
        ),
    ],
    ids=["never", "later"],
)
def test_an_output_needs_its_call_before_it(
    http: FlaskClient, items: list[dict[str, Any]], param: str
) -> None:
    answer = http.post("/v1/responses", json={"input": items})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


def test_an_engine_that_cannot_be_made_to_call_says_so(http: FlaskClient) -> None:
    answer = http.post(
        "/v1/responses", json={"input": "a", "tools": [TOOL], "tool_choice": "required"}
    )

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unsupported_parameter", "tool_choice")


def test_calls_are_kept_in_conversations_and_counted(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [{"role": "user", "content": "a"}, call, answer_to(call)]
    conversation = parsed(http.post("/v1/conversations", json={"items": items}))
    make_worker()

    response = create_and_wait(http, conversation=conversation["id"], input="b")
    counted = parsed(http.post("/v1/responses/input_tokens", json={"input": items}))

    assert response["status"] == "completed"
    assert counted["input_tokens"] > 10
