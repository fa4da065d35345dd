"""Calls and outputs as the chat templates of single model families take them."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from models.profile.formats.call_format import CallFormat, JsonArguments

Message = dict[str, Any]


def for_template(messages: Sequence[Message], call_format: CallFormat) -> list[Message]:
    """Return messages as templates with tools take them.

    An earlier call of a custom tool becomes one of a function.
    """
    ids: dict[str, str] = {}
    return [_for_template(message, call_format, ids) for message in messages]


def _for_template(message: Message, call_format: CallFormat, ids: dict[str, str]) -> Message:
    """Convert one message; `ids` are those of the calls before it, as the template takes them."""
    if "tool_call_id" in message:
        call_id = message["tool_call_id"]
        return message | {"tool_call_id": ids.get(call_id, call_id)}
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        function = _function(call, call_format)
        ids[call["id"]] = _call_id(call["id"], function["name"], len(ids), call_format)
        calls.append({"id": ids[call["id"]], "type": "function", "function": function})
    return message | {"tool_calls": calls}


def _call_id(call_id: str, name: str, number: int, call_format: CallFormat) -> str:
    if call_format.has_names_in_ids:
        return f"functions.{name}:{number}"
    if call_format.id_length is not None:
        return hashlib.sha256(call_id.encode()).hexdigest()[: call_format.id_length]
    return call_id


def _function(call: dict[str, Any], call_format: CallFormat) -> dict[str, Any]:
    arguments: Any
    if call["type"] != "function":
        name, arguments = call["custom"]["name"], {"input": call["custom"]["input"]}
    else:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
    is_object = isinstance(arguments, dict)
    if call_format.takes_text and is_object:
        arguments = orjson.dumps(arguments).decode()
    elif not is_object and not isinstance(call_format.arguments, JsonArguments):
        # Arguments that are no JSON, such as truncated ones.
        arguments = {"arguments": arguments}
    return {"name": name, "arguments": arguments}
