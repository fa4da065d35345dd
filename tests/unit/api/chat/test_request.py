"""Chat completion requests: converted to requests for a response, or refused by their own names."""

from typing import Any

import pytest
from pydantic import ValidationError

from api.chat.request import convert_request
from api.http.validation_errors import to_invalid_request
from models.errors import AppError, InvalidRequestError
from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.request.create_response import CreateResponse

_CALL: dict[str, Any] = {
    "id": "c",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
_CUSTOM: dict[str, Any] = {
    "type": "custom",
    "custom": {
        "name": "p",
        "description": "d",
        "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
    },
}
_CUSTOM_CALL = {"id": "p1", "type": "custom", "custom": {"name": "p", "input": "aa"}}
_USER = {"role": "user", "content": "Hello."}
_IMAGE = {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}


def convert(messages: Any = (_USER,), **fields: Any) -> CreateResponse:
    raw = {"messages": list(messages)} | fields
    return convert_request(ChatCompletionRequest.model_validate(raw)).body


def items_for(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return convert(messages).input_items()


def error_of(**raw: Any) -> AppError:
    """Return the error that a request is refused with, by either of the two validations."""
    raw = {"messages": [_USER]} | raw
    try:
        chat = ChatCompletionRequest.model_validate(raw)
    except ValidationError as error:
        return to_invalid_request(error, raw)
    with pytest.raises(AppError) as raised:
        convert_request(chat)
    return raised.value


def translate(param: str, message: str = "", **raw: Any) -> InvalidRequestError:
    """Return what an error about a field of a response names in the chat."""
    raw = {"messages": [_USER]} | raw
    converted = convert_request(ChatCompletionRequest.model_validate(raw))
    error = InvalidRequestError(message, param=param)
    assert converted.names.translate(error) is error
    return error


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_message_is_a_message(role: str) -> None:
    assert items_for({"role": role, "content": "a"}) == [
        {"type": "message", "role": role, "content": "a"}
    ]


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_the_name_of_who_speaks_is_kept(role: str) -> None:
    [item] = items_for({"role": role, "content": "a", "name": "Ada"})

    assert item["name"] == "Ada"


def test_parts_are_those_of_responses() -> None:
    parts = [
        {"type": "text", "text": "a"},
        _IMAGE,
        {"type": "file", "file": {"filename": "a.txt", "file_data": "eA=="}},
        {"type": "video_url", "video_url": {"url": "data:y"}},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
    ]

    [item] = items_for({"role": "user", "content": parts})

    assert item["content"] == [
        {"type": "text", "text": "a"},
        {"type": "input_image", "image_url": "data:x", "detail": "low"},
        {"type": "input_file", "filename": "a.txt", "file_data": "eA=="},
        {"type": "input_video", "video_url": "data:y"},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
    ]


def test_a_message_of_the_assistant_is_reasoning_text_and_calls_in_this_order() -> None:
    message = {
        "role": "assistant",
        "content": "I ask.",
        "reasoning_content": "Hm.",
        "tool_calls": [_CALL, _CALL | {"id": "d"}],
    }
    output = {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "7"}]}

    items = items_for(message, output)

    assert items == [
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        },
        {"type": "message", "role": "assistant", "content": "I ask."},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "7"}],
        },
    ]


def test_calls_of_custom_tools_have_items_and_outputs_of_their_own() -> None:
    calls = [_CUSTOM_CALL, _CALL]
    outputs = [{"role": "tool", "tool_call_id": call_id, "content": "7"} for call_id in ("c", "p1")]

    items = items_for({"role": "assistant", "content": None, "tool_calls": calls}, *outputs)

    assert items == [
        {"type": "custom_tool_call", "call_id": "p1", "name": "p", "input": "aa"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "7"},
        {"type": "custom_tool_call_output", "call_id": "p1", "output": "7"},
    ]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (_CUSTOM["custom"]["format"], {"type": "grammar", "syntax": "regex", "definition": "a+"}),
        ({"type": "text"}, {"type": "text"}),
        (None, {"type": "text"}),
    ],
)
def test_a_custom_tool_says_what_its_input_is(given: Any, stored: dict[str, str]) -> None:
    tool = {"type": "custom", "custom": {"name": "p", "format": given}}

    [found] = convert(tools=[tool]).parameters().model_dump(exclude_none=True)["tools"]

    assert found == {"type": "custom", "name": "p", "format": stored}


@pytest.mark.parametrize(
    ("message", "types"),
    [
        ({"content": None, "tool_calls": [_CALL]}, ["function_call"]),
        ({"content": "", "tool_calls": [_CALL]}, ["function_call"]),
        ({"content": None, "reasoning_content": "Hm."}, ["reasoning"]),
        ({"content": "", "reasoning": "Hm."}, ["reasoning"]),
        ({"content": ""}, ["message"]),
        ({"refusal": "No."}, ["message"]),
    ],
)
def test_a_message_without_text_has_no_item_for_it(
    message: dict[str, Any], types: list[str]
) -> None:
    items = items_for({"role": "assistant"} | message)

    assert [item["type"] for item in items] == types


@pytest.mark.parametrize("content", [None, "I think:", [{"type": "text", "text": "I think:"}]])
def test_a_refusal_is_a_part_after_the_text(content: Any) -> None:
    [item] = items_for({"role": "assistant", "content": content, "refusal": "No."})

    texts = [part.get("text") or part.get("refusal") or "" for part in item["content"]]
    assert "".join(texts) == ("I think:" if content else "") + "No."


def test_what_clients_dump_is_taken_back() -> None:
    dumped: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "parsed": {"a": 1},
        "tool_calls": None,
    }
    call = _CALL | {"index": 0, "function": {**_CALL["function"], "parsed_arguments": {}}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    output = {"role": "tool", "tool_call_id": "c", "name": "f", "content": "7"}

    assert [item["type"] for item in items_for(dumped, called, output)] == [
        *("message", "function_call", "function_call_output")
    ]


def test_fields_of_the_same_name_are_handed_on() -> None:
    fields: dict[str, Any] = {
        "model": "m",
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "repetition_penalty": 1.5,
        "dry_multiplier": 0.5,
        "logit_bias": {"1": 2.0},
        "logprobs": True,
        "top_logprobs": 2,
        "n": 2,
        "seed": 7,
        "stop": ["a"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "service_tier": "flex",
        "parallel_tool_calls": False,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "metadata": {"a": "b"},
        "store": True,
    }

    body = convert(**fields)

    dumped = body.model_dump(exclude_none=True)
    assert {name: dumped[name] for name in fields} == fields


def test_nothing_is_stored_unless_it_is_asked_for() -> None:
    assert not convert().store


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_has_two_names(name: str) -> None:
    assert convert(**{name: 7}).max_output_tokens == 7


def test_the_options_of_reasoning_and_text_have_places_of_their_own() -> None:
    schema = {"name": "a", "schema": {"type": "object"}, "strict": True}

    body = convert(
        reasoning_effort="low",
        verbosity="high",
        response_format={"type": "json_schema", "json_schema": schema},
    )

    assert body.effort == "low"
    text = body.parameters().model_dump(exclude_none=True, by_alias=True)["text"]
    assert text == {"format": {"type": "json_schema", **schema}, "verbosity": "high"}


@pytest.mark.parametrize(
    ("choice", "stored"),
    [
        ("required", "required"),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "p"}}, {"type": "custom", "name": "p"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "p"}},
                    ],
                },
            },
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}],
            },
        ),
    ],
)
def test_a_tool_choice_is_spelled_as_in_chats(choice: Any, stored: Any) -> None:
    parameters = convert(tools=[_TOOL, _CUSTOM], tool_choice=choice).parameters()

    assert parameters.model_dump(exclude_none=True)["tool_choice"] == stored


@pytest.mark.parametrize(
    "neutral",
    [
        {"audio": None, "modalities": ["text"], "prediction": None, "web_search_options": None},
        {"functions": [], "function_call": "none"},
        {"tools": None, "tool_choice": None, "response_format": None, "logit_bias": None},
        {"stop": None, "seed": None, "reasoning_effort": None, "verbosity": None},
        {"stream": None, "store": None, "metadata": None, "max_tokens": None},
    ],
)
def test_what_changes_nothing_is_accepted(neutral: dict[str, Any]) -> None:
    assert convert(**neutral).parameters() == convert().parameters()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"audio": {"voice": "a"}}, "audio", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"prediction": {"type": "content"}}, "prediction", "unsupported_parameter"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"function_call": {"name": "f"}}, "function_call", "unsupported_parameter"),
        ({"input": "a"}, "input", "unknown_parameter"),
        ({"messages": []}, "messages", "array_below_min_length"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content", "invalid_value"),
        ({"messages": [_USER, {"role": "function"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [{"content": "a"}]}, "messages[0].role", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "tool", "content": "a"}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens", "invalid_value"),
        ({"tools": [_TOOL, _TOOL]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [_CUSTOM, _CUSTOM]}, "tools[1].custom.name", "invalid_value"),
        (
            {"tools": [{"type": "function", "name": "f"}]},
            "tools[0].function",
            "missing_required_parameter",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "always"}, "tool_choice", "invalid_value"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": []}}},
            "tool_choice.allowed_tools.tools",
            "array_below_min_length",
        ),
        ({"messages": [{"role": 7, "content": "a"}]}, "messages[0].role", "invalid_type"),
        ({"reasoning_effort": "much"}, "reasoning_effort", "invalid_value"),
        ({"verbosity": "much"}, "verbosity", "invalid_value"),
        (
            {"prompt_cache_options": {"prewarm": True}},
            "prompt_cache_options.prewarm",
            "unsupported_parameter",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_by_its_name(
    fields: dict[str, Any], param: str, code: str
) -> None:
    error = error_of(**fields)

    assert (error.param, error.code) == (param, code)
    assert param in error.message


_ASKED = {"role": "assistant", "content": "a", "reasoning_content": "b", "tool_calls": [_CALL]}
_SEEN = {"role": "user", "content": [{"type": "text", "text": "a"}, _IMAGE]}


@pytest.mark.parametrize(
    ("param", "name"),
    [
        ("input", "messages"),
        ("input[0]", "messages[0]"),
        ("input[1].content[1].image_url", "messages[1].content[1].image_url.url"),
        ("input[1].content[1].type", "messages[1].content[1].type"),
        ("input[2].content[0].text", "messages[2].reasoning_content"),
        ("input[3].content", "messages[2].content"),
        ("input[4].call_id", "messages[2].tool_calls[0].id"),
        ("input[4].name", "messages[2].tool_calls[0].function.name"),
        ("input[5].call_id", "messages[3].tool_call_id"),
        ("input[5].output[0].image_url", "messages[3].content[0].image_url.url"),
        ("input[9].content", "input[9].content"),
        ("tools[0].parameters", "tools[0].function.parameters"),
        ("tools[1].name", "tools[1].custom.name"),
        ("tools[1].format.definition", "tools[1].custom.format.grammar.definition"),
        ("tools[2].name", "tools[2].name"),
        ("reasoning.effort", "reasoning_effort"),
        ("text.verbosity", "verbosity"),
        ("logit_bias.7", "logit_bias.7"),
    ],
)
def test_errors_name_the_field_of_the_chat(param: str, name: str) -> None:
    error = translate(
        param,
        f"Invalid '{param}': there is no input.",
        messages=[_USER, _SEEN, _ASKED, {"role": "tool", "tool_call_id": "c", "content": "a"}],
        tools=[_TOOL, _CUSTOM],
    )

    assert error.param == name
    assert error.message == f"Invalid '{name}': there is no input."


def test_a_message_may_name_another_field() -> None:
    error = translate("input[0].content[0].type", "input[0].content[0] is no text.")

    assert error.message == "messages[0].content[0] is no text."


def test_an_error_about_no_field_stays_as_it_is() -> None:
    raw = {"messages": [_USER]}
    converted = convert_request(ChatCompletionRequest.model_validate(raw))
    error = AppError("input")

    assert converted.names.translate(error).payload() == AppError("input").payload()
