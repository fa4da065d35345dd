"""From items to the messages of a chat template: turns, thoughts, calls and their outputs."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from models.chat.prompt import Prompt
from models.encryption.reasoning import attach_reasoning
from models.media.images import read_image_part
from models.media.processor import ImageReader
from models.profile.profile import Profile
from models.profile.thinking import ThinkingStyle
from models.schemas.items import parts_text
from models.tools.prompt import in_words, tools_prompt
from models.tools.web_search import messages_of

Message = dict[str, Any]

_MISTRAL_ID_LENGTH = 9


def to_messages(
    prompt: Prompt,
    profile: Profile,
    thinking: ThinkingStyle,
    images: ImageReader | None = None,
) -> list[Message]:
    """Items as chat messages; instructions come first and belong to this turn only.

    Where the template knows of no tools, calls and outputs are written for it.
    """
    messages = _joined(prompt.items, profile, thinking, images)
    told = prompt.tool_prompt
    if is_native(prompt, profile):
        messages = [_with_short_ids(message, profile) for message in messages]
    else:
        messages = in_words(messages)
        functions = tools_prompt(prompt.tools) if prompt.tools else None
        told = "\n\n".join(filter(None, (functions, told)))
    for text in filter(None, (told, prompt.instructions)):
        messages.insert(0, {"role": "system", "content": text})
    return _join_leading_system(messages)


def is_native(prompt: Prompt, profile: Profile) -> bool:
    """Whether the template is to write tools and calls; beside a search of the web it is not."""
    return profile.takes_tools and prompt.tool_prompt is None


def content_parts(content: str | list[Message]) -> list[Message]:
    """A message's content as parts, which templates of vision models go through."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _joined(
    items: Sequence[dict[str, Any]],
    profile: Profile,
    thinking: ThinkingStyle,
    images: ImageReader | None,
) -> list[Message]:
    """What one assistant said and called in a row is one message."""
    messages: list[Message] = []
    names: dict[str, str] = {}
    for item in _with_searches(attach_reasoning(items)):
        match item.get("type", "message"):
            case "function_call":
                names[item["call_id"]] = item["name"]
                message = _calling(messages, item.get("thought"), profile, thinking)
                message.setdefault("tool_calls", []).append(_call(item))
            case "function_call_output":
                call_id = item["call_id"]
                messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": call_id,
                        "name": names.get(call_id, ""),
                        "content": _content(item["output"], images),
                    }
                )
            case _:
                message = {
                    "role": _role(item["role"]),
                    "content": _content(item["content"], images),
                }
                messages.append(thinking.with_thought(message, item.get("thought")))
    return messages


def _calling(
    messages: list[Message], thought: str | None, profile: Profile, thinking: ThinkingStyle
) -> Message:
    """The message that a call belongs to; Llama's templates take one call in each."""
    last = messages[-1] if messages else {}
    is_full = profile.call_style == "llama" and "tool_calls" in last
    if last.get("role") != "assistant" or thought or is_full:
        message: Message = {"role": "assistant", "content": ""}
        messages.append(thinking.with_thought(message, thought))
    return messages[-1]


def _call(item: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = orjson.loads(item["arguments"] or "{}")
    except orjson.JSONDecodeError:
        # Cut off, or written by another; the model sees it as it was.
        arguments = item["arguments"]
    function = {"name": item["name"], "arguments": arguments}
    return {"id": item["call_id"], "type": "function", "function": function}


def _with_searches(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items with the messages that stand for searches of the web in their places."""
    shown: list[dict[str, Any]] = []
    for item in items:
        is_search = item.get("type") == "web_search_call"
        found = messages_of(item) if is_search else [item]
        thought = {"thought": item["thought"]} if is_search and "thought" in item else {}
        shown += [found[0] | thought, *found[1:]] if found else []
    return shown


def _content(content: str | list[Message], images: ImageReader | None) -> str | list[Message]:
    """A text, or its parts if there are images among them."""
    if isinstance(content, str):
        return content
    if images is None or not any(part["type"] == "input_image" for part in content):
        return parts_text(content)
    return [_part(part, images) for part in content]


def _part(part: dict[str, Any], images: ImageReader) -> dict[str, Any]:
    if part["type"] == "input_image":
        prepared = images.prepare(read_image_part(part, "input"), "input")
        return {"type": "image", "image": prepared}
    return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}


def _role(role: str) -> str:
    """`developer` is the newer name of `system`; templates know the older."""
    return "system" if role == "developer" else role


def _with_short_ids(message: Message, profile: Profile) -> Message:
    """Mistral's templates take ids of nine letters and digits only."""
    if profile.call_style != "mistral":
        return message
    if "tool_call_id" in message:
        return message | {"tool_call_id": _short(message["tool_call_id"])}
    if "tool_calls" in message:
        calls = [call | {"id": _short(call["id"])} for call in message["tool_calls"]]
        return message | {"tool_calls": calls}
    return message


def _short(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:_MISTRAL_ID_LENGTH]


def _join_leading_system(messages: list[Message]) -> list[Message]:
    """Many templates take one system message, at the beginning."""
    count = 0
    while count < len(messages) and _is_system_text(messages[count]):
        count += 1
    if count < 2:
        return messages
    content = "\n\n".join(message["content"] for message in messages[:count])
    return [{"role": "system", "content": content}, *messages[count:]]


def _is_system_text(message: Message) -> bool:
    return message["role"] == "system" and isinstance(message["content"], str)
