"""Conversion of a finished response to a `chat.completion` object."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from models.errors import AppError
from models.ids import chat_wire_id, choice_of
from models.responses.record import ResponseRecord
from models.responses.serializers import serialise_service_tier
from models.responses.status import CONTINUABLE
from models.schemas.chat.completion import (
    ChatAnnotation,
    ChatCitation,
    ChatCompletion,
    ChatUsage,
    ChoiceLogprobs,
    CompletedChoice,
    CompletedCustom,
    CompletedCustomCall,
    CompletedFunction,
    CompletedFunctionCall,
    CompletedMessage,
    FinishReason,
)
from models.schemas.parts import TokenLogprob
from models.schemas.response import Usage

CALLS = ("function_call", "custom_tool_call")
"""Types of the items that are calls for the client."""
REASONING_SEPARATOR = "\n\n"
"""Text between the reasoning of two turns of a completion."""


class CompletionFailedError(AppError):
    """The completion was cancelled."""

    default_code = "cancelled"


def complete_chat(record: ResponseRecord, response: bytes) -> bytes:
    """Return the completion, as JSON, for the JSON of its finished response.

    Raise a `CompletionFailedError` for one that has failed, or was cancelled.
    """
    fields = orjson.loads(response)
    check_success(fields)
    completion = ChatCompletion(
        **completion_fields(record),
        choices=[
            _make_choice(fields, number, has_logprobs=has_logprobs(record))
            for number in range(num_choices(record))
        ],
        usage=usage_of(fields),
        metadata=fields["metadata"],
    )
    return completion.model_dump_json().encode()


def check_success(response: dict[str, Any]) -> None:
    """Raise a `CompletionFailedError` unless a response has ended with an output."""
    if response["status"] in CONTINUABLE:
        return
    error = response["error"] or {}
    raise CompletionFailedError(error.get("message"), code=error.get("code"))


def completion_fields(record: ResponseRecord) -> dict[str, Any]:
    """Return the fields that the completion and each of its chunks have."""
    return {
        "id": chat_wire_id(record.id),
        "created": int(record.created_at.timestamp()),
        "model": record.model,
        "service_tier": serialise_service_tier(record.parameters.get("service_tier")),
    }


def num_choices(record: ResponseRecord) -> int:
    """Return `n` of a request."""
    return int(record.parameters.get("n", 1))


def has_logprobs(record: ResponseRecord) -> bool:
    """Return True if the request asked for log probabilities."""
    return bool(record.parameters.get("logprobs") or record.parameters.get("top_logprobs"))


def usage_of(response: dict[str, Any]) -> ChatUsage:
    """Return the usage of a finished response."""
    return ChatUsage.of(Usage.model_validate(response["usage"]))


def choose_finish_reason(response: dict[str, Any], choice: int) -> FinishReason:
    """Return the reason for which a choice of a finished response has ended."""
    items = items_of(response, choice)
    is_only = all(choice_of(item["id"]) == choice for item in response["output"])
    is_cut = is_only or not items or items[-1].get("status") == "incomplete"
    if response["status"] == "incomplete" and is_cut:
        is_filtered = response["incomplete_details"] == {"reason": "content_filter"}
        return "content_filter" if is_filtered else "length"
    return "tool_calls" if any(item["type"] in CALLS for item in items) else "stop"


def items_of(response: dict[str, Any], choice: int) -> list[dict[str, Any]]:
    """Return the output items of a choice."""
    return [item for item in response["output"] if choice_of(item["id"]) == choice]


def make_annotation(citation: dict[str, Any], offset: int) -> ChatAnnotation:
    """Return a citation of a message's text, which begins at `offset` of the choice's text."""
    return ChatAnnotation(
        url_citation=ChatCitation(
            start_index=citation["start_index"] + offset,
            end_index=citation["end_index"] + offset,
            url=citation["url"],
            title=citation["title"],
        )
    )


def _make_choice(response: dict[str, Any], number: int, *, has_logprobs: bool) -> CompletedChoice:
    items = items_of(response, number)
    parts = list(_text_parts(items))
    logprobs = [TokenLogprob.model_validate(entry) for part in parts for entry in part["logprobs"]]
    return CompletedChoice(
        index=number,
        message=_make_message(items, parts),
        logprobs=ChoiceLogprobs(content=logprobs) if has_logprobs else None,
        finish_reason=choose_finish_reason(response, number),
    )


def _make_message(
    items: Sequence[dict[str, Any]], parts: Sequence[dict[str, Any]]
) -> CompletedMessage:
    text = "".join(part["text"] for part in parts)
    calls = [_make_call(item) for item in items if item["type"] in CALLS]
    reasoning = [
        "".join(part["text"] for part in item["content"])
        for item in items
        if item["type"] == "reasoning"
    ]
    return CompletedMessage(
        content=None if calls and not text else text,
        reasoning_content=REASONING_SEPARATOR.join(filter(None, reasoning)) or None,
        tool_calls=calls or None,
        annotations=list(_annotations(parts)),
    )


def _text_parts(items: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        if item["type"] == "message":
            yield from item["content"]


def _annotations(parts: Sequence[dict[str, Any]]) -> Iterator[ChatAnnotation]:
    offset = 0
    for part in parts:
        for citation in part["annotations"]:
            yield make_annotation(citation, offset)
        offset += len(part["text"])


def _make_call(item: dict[str, Any]) -> CompletedFunctionCall | CompletedCustomCall:
    if item["type"] == "custom_tool_call":
        custom = CompletedCustom(name=item["name"], input=item["input"])
        return CompletedCustomCall(id=item["call_id"], custom=custom)
    function = CompletedFunction(name=item["name"], arguments=item["arguments"])
    return CompletedFunctionCall(id=item["call_id"], function=function)
