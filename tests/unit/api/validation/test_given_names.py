"""Errors about messages in the shape of chats name the fields as they were given."""

from typing import Any

import pytest
from pydantic import ValidationError

from api.http.validation_errors import to_invalid_request
from api.validation.calls import check_call_outputs
from api.validation.given_names import given_names
from models.errors import InvalidRequestError
from models.schemas.request.create_response import CreateResponse

USER = {"role": "user", "content": "a"}
CALLING: dict[str, Any] = {
    "role": "assistant",
    "content": "b",
    "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "d", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
}


def answer(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "x"}


def items_of(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return CreateResponse.model_validate({"input": given}).input_items()


def test_a_message_with_calls_becomes_an_item_for_each() -> None:
    assert items_of([USER, CALLING, answer("c"), answer("d")]) == [
        {"type": "message", **USER},
        {"type": "message", "role": "assistant", "content": "b"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "d", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "function_call_output", "call_id": "d", "output": "x"},
    ]


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_without_content_becomes_calls_alone(content: Any) -> None:
    calls = items_of([{**CALLING, "content": content}])

    assert [item["type"] for item in calls] == ["function_call", "function_call"]


def test_a_message_dumped_by_a_client_of_chats_is_taken() -> None:
    dumped = {**CALLING, "refusal": None, "annotations": [], "audio": None, "function_call": None}

    assert items_of([dumped]) == items_of([CALLING])
    assert items_of([{**USER, "tool_calls": None, "audio": None}]) == items_of([USER])


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([USER, answer("c")], "input[1].tool_call_id"),
        ([CALLING, answer("c")], "input[0].tool_calls[1].id"),
        ([CALLING, USER, answer("c"), answer("d"), answer("e")], "input[4].tool_call_id"),
    ],
)
def test_an_error_names_the_field_as_it_was_given(given: list[dict[str, Any]], param: str) -> None:
    request = CreateResponse.model_validate({"input": given})

    with pytest.raises(InvalidRequestError) as raised, given_names(request.input):
        check_call_outputs(request.input_items(), [])

    assert raised.value.param == param


@pytest.mark.parametrize("param", [None, "model", "input", "tools[0].name", "input[9].id"])
def test_other_fields_keep_their_names(param: str | None) -> None:
    request = CreateResponse.model_validate({"input": [CALLING]})

    with pytest.raises(InvalidRequestError) as raised, given_names(request.input):
        raise InvalidRequestError("It is wrong.", param=param)

    assert raised.value.param == param


def test_calls_count_as_items() -> None:
    calls = [{**CALLING["tool_calls"][0], "id": f"c{n}"} for n in range(128)]

    with pytest.raises(ValidationError) as raised:
        CreateResponse.model_validate({"input": [{**CALLING, "tool_calls": calls}] * 80})

    assert to_invalid_request(raised.value, {}).code == "array_above_max_length"
