"""Attributes of spans in the words of OpenTelemetry's conventions for generative AI."""

from typing import Any

import orjson

from models.ids import conversation_wire_id, response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord

OPERATION = "chat"
_PROVIDER = "antiphon"
_PARAMETERS = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
}
_NUM_CHOICES = "n"
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def request_attributes(record: ResponseRecord) -> dict[str, Any]:
    """Return what is known of a response when it is claimed."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": record.model,
        "gen_ai.response.id": response_wire_id(record.id),
        "antiphon.attempt": record.attempt,
        "antiphon.background": record.background,
    }
    if record.conversation_id is not None:
        attributes["gen_ai.conversation.id"] = conversation_wire_id(record.conversation_id)
    for field, name in _PARAMETERS.items():
        if (value := record.parameters.get(field)) is not None:
            attributes[f"gen_ai.request.{name}"] = value
    if (num_choices := record.parameters.get(_NUM_CHOICES, 1)) != 1:
        attributes["gen_ai.request.choice.count"] = num_choices
    return attributes


def end_attributes(record: ResponseRecord, ending: TerminalRecord) -> dict[str, Any]:
    """Return what is known of a response at its end."""
    usage = ending.usage or {}
    details = usage.get("input_tokens_details") or {}
    reason = (ending.incomplete_details or {}).get("reason", "")
    attributes = {
        "gen_ai.response.model": record.model,
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": details.get("cached_tokens"),
        "antiphon.status": ending.status.value,
    }
    if ending.status is ResponseStatus.COMPLETED:
        attributes["gen_ai.response.finish_reasons"] = ["stop"]
    elif reason:
        attributes["gen_ai.response.finish_reasons"] = [_FINISH_REASONS.get(reason, reason)]
    return {name: value for name, value in attributes.items() if value is not None}


def input_content(parameters: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, str]:
    """Return what the model is given, as attributes that are JSON."""
    attributes = {"gen_ai.input.messages": _json([_message(item) for item in items])}
    if instructions := parameters.get("instructions"):
        parts = [{"type": "text", "content": instructions}]
        attributes["gen_ai.system_instructions"] = _json(parts)
    return attributes


def output_content(output: list[dict[str, Any]]) -> dict[str, str]:
    """Return what the model has written, as an attribute that is JSON."""
    return {"gen_ai.output.messages": _json([_message(item) for item in output])}


def _message(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as a message of the conventions."""
    kind = item.get("type", "message")
    if kind == "function_call":
        call = {"type": "tool_call", "id": item["call_id"], "name": item["name"]}
        return {"role": "assistant", "parts": [call | {"arguments": item["arguments"]}]}
    if kind == "function_call_output":
        result = {"type": "tool_call_response", "id": item["call_id"], "result": item["output"]}
        return {"role": "tool", "parts": [result]}
    content = item.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    texts = [{"type": "text", "content": part["text"]} for part in parts if "text" in part]
    return {"role": item.get("role", "assistant"), "parts": texts}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
