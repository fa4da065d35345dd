"""Conversion of the messages of a chat to input items."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.schemas.chat.messages import (
    AssistantMessage,
    ChatCustomCall,
    ChatFunctionCall,
    FilePart,
    ImagePart,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    VideoPart,
)
from models.schemas.parts import InputAudio, PlainText, Refusal

_FUNCTION_FIELDS = {"call_id": "id", "name": "function.name", "arguments": "function.arguments"}
_CUSTOM_FIELDS = {"call_id": "id", "name": "custom.name", "input": "custom.input"}
_OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
"""Types of the items of calls, with the types of their outputs."""
_OUTPUT_FIELDS = {"call_id": "tool_call_id", "output": "content"}
_REASONING_FIELDS = {"content": "reasoning_content"}


@dataclass(frozen=True, slots=True)
class Source:
    """Origin of an item in the request, for errors about it."""

    path: str
    """Path of the object that became the item, such as `messages[2].tool_calls[0]`."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Names of its fields, where they differ, by those of the item."""


def to_items(messages: Sequence[Message]) -> tuple[list[dict[str, Any]], list[Source]]:
    """Return the messages as input items, and the source of each."""
    items: list[dict[str, Any]] = []
    sources: list[Source] = []
    call_types: dict[str, str] = {}
    for position, message in enumerate(messages):
        for item, source in _convert(message, f"messages[{position}]", call_types):
            if item["type"] in _OUTPUTS:
                call_types[item["call_id"]] = item["type"]
            items.append(item)
            sources.append(source)
    return items, sources


def _convert(
    message: Message, path: str, call_types: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], Source]]:
    """Yield the items of a message; `call_types` are the types of the calls before it, by id."""
    match message:
        case AssistantMessage():
            yield from _convert_assistant(message, path)
        case ToolMessage():
            call_type = call_types.get(message.tool_call_id, "function_call")
            output = {
                "type": _OUTPUTS[call_type],
                "call_id": message.tool_call_id,
                "output": _convert_content(message.content),
            }
            yield output, Source(path, _OUTPUT_FIELDS)
        case SystemMessage() | UserMessage():
            yield _make_message(message, _convert_content(message.content)), Source(path)


def _convert_assistant(
    message: AssistantMessage, path: str
) -> Iterator[tuple[dict[str, Any], Source]]:
    """Yield the reasoning, then the text, then the calls of a message of the assistant."""
    if reasoning := message.reasoning_content or message.reasoning:
        part = {"type": "reasoning_text", "text": reasoning}
        yield {"type": "reasoning", "content": [part]}, Source(path, _REASONING_FIELDS)
    content = _convert_content(message.content or "")
    if message.refusal:
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
        content = [*parts, {"type": "refusal", "refusal": message.refusal}]
    if content or not (message.tool_calls or reasoning):
        yield _make_message(message, content), Source(path)
    for number, call in enumerate(message.tool_calls):
        fields = _CUSTOM_FIELDS if isinstance(call, ChatCustomCall) else _FUNCTION_FIELDS
        yield _convert_call(call), Source(f"{path}.tool_calls[{number}]", fields)


def _convert_call(call: ChatFunctionCall | ChatCustomCall) -> dict[str, Any]:
    match call:
        case ChatFunctionCall(function=called):
            kind = "function_call"
        case ChatCustomCall(custom=called):
            kind = "custom_tool_call"
    return {"type": kind, "call_id": call.id, **called.model_dump()}


def _make_message(
    message: SystemMessage | UserMessage | AssistantMessage, content: str | list[dict[str, Any]]
) -> dict[str, Any]:
    return {"type": "message", "role": message.role, "content": content, "name": message.name}


def _convert_content(content: str | Sequence[object]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_convert_part(part) for part in content]


def _convert_part(part: object) -> dict[str, Any]:
    match part:
        case PlainText():
            return {"type": "text", "text": part.text}
        case ImagePart(image_url=image):
            return {"type": "input_image", "image_url": image.url, "detail": image.detail}
        case FilePart(file=content):
            return {"type": "input_file", **content.model_dump(exclude_none=True)}
        case VideoPart(video_url=video):
            return {"type": "input_video", "video_url": video.url}
        case InputAudio() | Refusal():
            return part.model_dump()
        case _:
            raise AssertionError(f"a part of type {type(part)} is not converted")
