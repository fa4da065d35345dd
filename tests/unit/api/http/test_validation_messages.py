"""Messages about malformed bodies: in the terms of JSON, without a name of Python or of ours."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from api.http.validation_errors import to_invalid_request
from api.http.validation_messages import describe_fault
from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.compaction import CompactRequest
from models.schemas.conversations import CreateConversation
from models.schemas.request.create_response import CreateResponse
from models.schemas.webhooks import CreateWebhookEndpoint

_PYTHON = re.compile(
    r"Input|instance|found using|dictionar|\blist\b|\bdict\b|\bNone\b|\bTrue\b|\bFalse\b|tag"
    r"|\bvalid\b|pydantic|discriminator|\w\(\)|'_|<class|\b[A-Z][a-z]+[A-Z]|error:"
)
"""Words of Python, of pydantic and of this server's code."""

_TEXT = {"type": "input_text", "text": "a"}
_IMAGE = {"type": "input_image", "image_url": "https://a.example/", "detail": "low"}
_FILE = {"type": "input_file", "file_data": "AA=="}
_USER = {"type": "message", "role": "user", "content": [_TEXT, _IMAGE, _FILE]}
_SAID = {
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "output_text", "text": "b", "annotations": [{}], "logprobs": [{}]},
        {"type": "refusal", "refusal": "no"},
    ],
}
_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [_TEXT]}
_REASONING = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "a"}],
    "content": [{"type": "reasoning_text", "text": "a"}],
}
_SEARCH = {"type": "web_search_call", "action": {}, "results": [{"url": "u"}]}
_CHAT_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_ITEMS = [
    _USER,
    _SAID,
    _CALL,
    _OUTPUT,
    _REASONING,
    _SEARCH,
    {"type": "item_reference", "id": "m"},
    {"type": "compaction", "encrypted_content": "x"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "a", "tool_calls": [_CHAT_CALL]},
    {"role": "tool", "tool_call_id": "c", "content": [_TEXT]},
]
_MESSAGES = [
    {"role": "system", "content": "a"},
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": None, "tool_calls": [_CHAT_CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "x"},
]
_FUNCTION = {"type": "function", "name": "f", "parameters": {}}
_NAMED = {"type": "function", "name": "f"}
_TOOLS = [
    _FUNCTION,
    {"type": "function", "function": {"name": "g"}},
    {"type": "web_search", "filters": {"allowed_domains": ["a"]}, "user_location": {}},
]
_SCHEMA = {"type": "json_schema", "name": "s", "schema": {}}
_GRAMMARS = {"type": "llguidance", "value": {"grammars": [{"lark_grammar": "start: /a/"}]}}
_BODIES: list[tuple[type, dict[str, Any]]] = [
    (CreateResponse, {"input": _ITEMS, "tools": _TOOLS, "tool_choice": _NAMED}),
    (CreateResponse, {"input": "a", "tools": _TOOLS, "tool_choice": "auto"}),
    (
        CreateResponse,
        {
            "input": "a",
            "tools": _TOOLS,
            "tool_choice": {"type": "allowed_tools", "tools": [_NAMED, {"type": "web_search"}]},
        },
    ),
    (CreateResponse, {"input": "a", "text": {"format": _SCHEMA}, "conversation": {"id": "c"}}),
    (CreateResponse, {"input": "a", "response_format": {"type": "json_object"}}),
    (
        CreateResponse,
        {
            "input": "a",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
        },
    ),
    (CreateResponse, {"input": "a", "grammar": _GRAMMARS, "logit_bias": {"1": 1}}),
    (CreateResponse, {"input": "a", "grammar": {"type": "json_schema", "value": {}}}),
    (CreateResponse, {"input": "a", "reasoning": {"effort": "low"}, "include": [], "stop": ["x"]}),
    (CreateResponse, {"input": "a", "metadata": {"a": "b"}, "top_p": 1, "seed": 1, "store": True}),
    (CompactRequest, {"model": "m", "input": _ITEMS}),
    (ChatCompletionRequest, {"model": "m", "messages": _MESSAGES, "tools": _TOOLS[:2]}),
    (CreateConversation, {"items": _ITEMS, "metadata": {}}),
    (CreateWebhookEndpoint, {"url": "https://a.example", "name": "n", "event_types": ["a"]}),
]
_WRONG: list[Any] = [
    *(None, True, 7, 1.5, "", "wrong", [], [7], ["wrong"], [[]], {}, [{}]),
    *({"type": "wrong"}, {"type": 7}, {"type": None}, {"wrong": 1}, "x" * 2000, -1, 2**70),
]


def variants(value: Any, change: Any) -> Iterator[Any]:
    """Yield copies of a JSON value in which one node, or an added field, is `change`."""
    yield change
    for key, inner in list(value.items() if isinstance(value, dict) else ()):
        for changed in variants(inner, change):
            yield {**value, key: changed}
        yield {other: kept for other, kept in value.items() if other != key}
    if isinstance(value, dict):
        yield {**value, "wrong": change}
    for position, inner in enumerate(value if isinstance(value, list) else ()):
        for changed in variants(inner, change):
            yield [*value[:position], changed, *value[position + 1 :]]


def message_about(model: type, body: Any) -> str | None:
    """Return the message of the error about a body, or None if it is accepted."""
    if not isinstance(body, dict):
        return None
    try:
        TypeAdapter(model).validate_python(deepcopy(body))
    except ValidationError as error:
        return to_invalid_request(error, body).message
    return None


@pytest.mark.parametrize(
    ("model", "body"), _BODIES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_malformed_body_is_described_without_names_of_the_code(
    model: type, body: dict[str, Any]
) -> None:
    messages = {
        message_about(model, changed) for wrong in _WRONG for changed in variants(body, wrong)
    }

    told = {message for message in messages if message and _PYTHON.search(message)}
    assert told == set()
    assert len(messages) > 10


@pytest.mark.parametrize("known", list_all_errors(), ids=lambda known: known["type"])
def test_no_message_of_the_library_reaches_clients(known: dict[str, Any]) -> None:
    context = dict.fromkeys(known.get("example_context") or {}, "x")
    message = str(known["message_template_python"])
    error = {"type": known["type"], "loc": ("a",), "msg": message, "input": {}, "ctx": context}

    told = describe_fault(error)

    assert told != message
    assert not _PYTHON.search(told)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"input": 7},
            "Invalid type for 'input': expected a string or an array, but got an integer.",
        ),
        (
            {"input": None},
            "Invalid type for 'input': expected a string or an array, but got null.",
        ),
        (
            {"conversation": []},
            "Invalid type for 'conversation': expected a string or an object, but got an array.",
        ),
        ({"text": "json"}, "Invalid type for 'text': expected an object, but got a string."),
        ({"tools": [None]}, "Invalid type for 'tools[0]': expected an object, but got null."),
        ({"tools": [{}]}, "Missing required parameter: 'tools[0].type'."),
        (
            {"tool_choice": {"type": "mode"}},
            "Invalid 'tool_choice.type': 'mode' is not one of the supported values: 'function', "
            "'custom', 'web_search', 'mcp', 'allowed_tools'.",
        ),
        ({"n": 17}, "Invalid 'n': it must be at most 16."),
        ({"n": True}, "Invalid type for 'n': expected an integer, but got a boolean."),
        ({"truncation": "a"}, "Invalid 'truncation': it must be 'auto' or 'disabled'."),
        ({"stop": ["a"] * 65}, "Invalid 'stop': it must have at most 64 entries."),
        ({"metadata": {str(n): "" for n in range(17)}},
         "Invalid 'metadata': it must have at most 16 entries."),
    ],
)  # fmt: skip
def test_a_message_says_what_is_accepted(fields: dict[str, Any], message: str) -> None:
    assert message_about(CreateResponse, {"input": "a", **fields}) == message
