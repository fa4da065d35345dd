"""Requests that every server of the specification must accept, and the expected responses."""

from typing import Any

import pytest

from tests.conformance.suite.conftest import Api, message
from tests.conformance.suite.judge import judge_stream, text_of

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "a question": [message("user", "Say hello in exactly 3 words.")],
    "a system message": [
        message("system", "You are a pirate. Always respond in pirate speak."),
        message("user", "Say hello."),
    ],
    "several turns": [
        message("user", "My name is Alice."),
        message("assistant", "Hello Alice! Nice to meet you."),
        message("user", "What is my name?"),
    ],
    "phases": [
        message("assistant", "I should answer with the saved number.", phase="commentary"),
        message("assistant", "The number is four.", phase="final_answer"),
        message("user", "Repeat only the number."),
    ],
    "a message without a type": [{"role": "user", "content": "Say hello."}],
}


@pytest.mark.parametrize("given", CONVERSATIONS.values(), ids=list(CONVERSATIONS))
def test_a_conversation_is_answered(api: Api, given: list[dict[str, Any]]) -> None:
    response = api.create(given)

    assert response["status"] == "completed"
    assert text_of(response)


def test_a_string_is_a_message_and_fields_come_back_as_they_are_in_force(api: Api) -> None:
    fields = {
        "instructions": "Be brief.",
        "metadata": {"k": "v"},
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 1,
        "safety_identifier": "someone",
        "prompt_cache_key": "some",
    }
    response = api.create("Say hello.", **fields)

    assert response["status"] == "completed"
    fields.pop("seed")
    assert {name: response[name] for name in fields} == fields
    assert (response["truncation"], response["service_tier"]) == ("disabled", "default")
    assert (response["store"], response["background"]) == (True, False)


def test_a_stream_tells_the_whole_story(api: Api) -> None:
    answer = api.post(input=[message("user", "Count from 1 to 5.")], stream=True)

    final = judge_stream(answer)

    assert final["status"] == "completed"
    assert text_of(final)


def test_a_budget_that_is_used_up_makes_the_response_incomplete(api: Api) -> None:
    response = api.create("Write a very long story.", max_output_tokens=16)

    assert response["status"] == "incomplete"
    assert response["output"][-1]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] == 16


def test_a_turn_knows_the_one_before(api: Api) -> None:
    first = api.create("My name is Alice.")

    second = api.create("What is my name?", previous_response_id=first["id"])

    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens"] > first["usage"]["total_tokens"]


def test_a_conversation_is_compacted_and_goes_on(api: Api) -> None:
    turns = [
        message("user", "We agreed to launch on Tuesday and notify support first."),
        message("assistant", "Understood. The launch is Tuesday."),
    ]
    answer = api.post("/responses/compact", input=turns, temperature=None)
    assert answer.status_code == 200, answer.text
    compacted = answer.json()

    assert compacted["object"] == "response.compaction"
    assert [item["type"] for item in compacted["output"]].count("compaction") == 1
    going_on = [*compacted["output"], message("user", "When is the launch?")]
    # The summary is sampled: after some of them, the greedy answer repeats itself without end.
    answered = api.create(going_on, max_output_tokens=64)
    assert answered["status"] in ("completed", "incomplete")
    assert answered["output"][0]["content"][0]["text"]


REFUSED: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "a temperature in words": ("/responses", {"input": "hi", "temperature": "hot"}, (400, 422)),
    "no token at all": ("/responses", {"input": "hi", "max_output_tokens": 0}, (400, 422)),
    "a model nobody serves": ("/responses", {"input": "hi", "model": "no-such"}, (400, 404)),
    "an unknown response": (
        "/responses",
        {"input": "hi", "previous_response_id": "resp_none"},
        (400, 404),
    ),
    "a tool with a bad name": (
        "/responses",
        {"input": "hi", "tools": [{"type": "function", "name": "bad name!"}]},
        (400, 422),
    ),
    "compaction without a model": (
        "/responses/compact",
        {"input": "hi", "model": None, "temperature": None},
        (400, 422),
    ),
}


@pytest.mark.parametrize(("path", "body", "statuses"), REFUSED.values(), ids=list(REFUSED))
def test_a_clients_fault_is_told_in_the_format_of_errors(
    api: Api, path: str, body: dict[str, Any], statuses: tuple[int, ...]
) -> None:
    answer = api.post(path, **body)

    assert answer.status_code in statuses, answer.text
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    if "previous_response_id" in body:
        assert answer.json()["error"]["code"] == "previous_response_not_found"
