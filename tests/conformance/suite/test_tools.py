"""Function calling: `tool_choice`, and function outputs in the next turn."""

import json
from typing import Any

import pytest

from tests.conformance.suite.conftest import Api, message
from tests.conformance.suite.judge import calls_of, judge_stream, text_of

QUESTION = message("user", "What's the weather like in San Francisco?")
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            }
        },
        "required": ["location"],
    },
}
EMAIL: dict[str, Any] = {
    "type": "function",
    "name": "send_email",
    "description": "Send an email",
    "parameters": {
        "type": "object",
        "properties": {"to": {"type": "string"}},
        "required": ["to"],
    },
}
NAMED = {"type": "function", "name": "get_weather"}


def test_a_model_calls_when_it_needs_to(api: Api) -> None:
    response = api.create([QUESTION], tools=[WEATHER])

    assert [call["name"] for call in calls_of(response)][:1] == ["get_weather"]


def test_a_model_answers_when_it_needs_no_call(api: Api) -> None:
    response = api.create("Tell me a joke.", tools=[WEATHER], max_output_tokens=40)

    assert not calls_of(response)
    assert text_of(response)


def test_calls_are_streamed(api: Api) -> None:
    answer = api.post(input=[QUESTION], tools=[WEATHER], tool_choice="required", stream=True)

    final = judge_stream(answer)

    assert {item["type"] for item in final["output"]} == {"function_call"}
    assert "event: response.function_call_arguments.delta\n" in answer.text
    for call in calls_of(final):
        assert isinstance(json.loads(call["arguments"])["location"], str)


@pytest.mark.parametrize("is_chained", [False, True])
def test_an_answer_follows_what_a_function_gave(api: Api, is_chained: bool) -> None:
    first = api.create([QUESTION], tools=[WEATHER], tool_choice=NAMED)
    [call] = calls_of(first)
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"}

    if is_chained:
        second = api.create(
            [output], tools=[WEATHER], tool_choice="none", previous_response_id=first["id"]
        )
    else:
        second = api.create([QUESTION, call, output], tools=[WEATHER], tool_choice="none")

    assert second["status"] == "completed"
    assert text_of(second)


def test_an_output_without_its_call_is_refused(api: Api) -> None:
    output = {"type": "function_call_output", "call_id": "call_missing", "output": "18"}

    answer = api.post(input=[QUESTION, output], tools=[WEATHER])

    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("input")


def test_nothing_is_called_where_nothing_may_be(api: Api) -> None:
    response = api.create([QUESTION], tools=[WEATHER], tool_choice="none", max_output_tokens=40)

    assert not calls_of(response)


def test_only_what_is_allowed_is_called(api: Api) -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [NAMED]}

    response = api.create(
        "Email bob@example.com saying hello.", tools=[WEATHER, EMAIL], tool_choice=choice
    )

    assert {call["name"] for call in calls_of(response)} == {"get_weather"}
    assert [tool["name"] for tool in response["tools"]] == ["get_weather", "send_email"]
    assert response["tool_choice"]["type"] == "allowed_tools"


def test_no_more_is_called_than_is_allowed(api: Api) -> None:
    response = api.create(
        [QUESTION], tools=[WEATHER], tool_choice="required", parallel_tool_calls=False
    )

    assert len(calls_of(response)) == 1


@pytest.mark.parametrize("name", ["bad name!", "", "x" * 65])
def test_a_bad_name_is_refused(api: Api, name: str) -> None:
    answer = api.post(input="hi", tools=[{"type": "function", "name": name}])

    assert answer.status_code == 400
