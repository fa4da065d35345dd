"""Conversion of items to chat template messages: text, reasoning, tool calls, tool outputs."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson

from models.chat.native.calls import for_template
from models.chat.native.harmony import for_harmony, move_thoughts
from models.chat.prompt import Prompt
from models.encryption.reasoning import attach_reasoning
from models.media.images import read_image_part
from models.media.processor import ImageReader
from models.profile.formats.named_json.harmony import HARMONY
from models.profile.profile import Profile
from models.profile.thinking import ThinkingStyle
from models.schemas.items import parts_text
from models.tools.hosted_items import hosted_message
from models.tools.mcp.history import as_functions
from models.tools.model_function import called_name
from models.tools.prompt import (
    added_tools_text,
    brought_tools,
    calls_as_text,
    found_tools_text,
    tools_prompt,
)
from models.tools.web_search import messages_of

Message = dict[str, Any]


def to_messages(
    prompt: Prompt,
    profile: Profile,
    thinking: ThinkingStyle,
    images: ImageReader | None = None,
    mark: Callable[[str], str] = str,
) -> list[Message]:
    """Convert the items of a prompt to chat messages.

    Instructions come first and belong to this turn only. If the template does not support tools,
    tool calls and their outputs are written as text. `mark` is applied to what clients did not
    write (models/chat/control_tokens.py).
    """
    is_harmony = is_native(prompt, profile) and profile.call_format == HARMONY
    messages = _convert_items(prompt, profile, thinking, images, mark, is_harmony=is_harmony)
    tool_text = prompt.tool_prompt
    if is_native(prompt, profile):
        messages = for_template(messages, profile.call_format)
    else:
        messages = calls_as_text(messages, mark)
        functions = tools_prompt(prompt.tools, mark) if prompt.tools else None
        tool_text = "\n\n".join(filter(None, (functions, tool_text)))
    for text in filter(None, (tool_text, prompt.instructions)):
        messages.insert(0, {"role": "system", "content": text})
    messages = _join_leading_system(messages)
    return for_harmony(messages) if is_harmony else messages


def is_native(prompt: Prompt, profile: Profile) -> bool:
    """Return True if the chat template writes tools and calls.

    It never does with the web search tool or with custom tools.
    """
    return profile.takes_tools and prompt.tool_prompt is None and not prompt.is_generic


def content_parts(content: str | list[Message]) -> list[Message]:
    """Return a message's content as a list of parts, which templates of vision models iterate."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def last_user_position(items: Sequence[dict[str, Any]]) -> int:
    """Return the index of the last user message; -1 if there is none."""
    positions = (n for n, item in enumerate(items) if item.get("role") == "user")
    return max(positions, default=-1)


def _convert_items(
    prompt: Prompt,
    profile: Profile,
    thinking: ThinkingStyle,
    images: ImageReader | None,
    mark: Callable[[str], str],
    *,
    is_harmony: bool,
) -> list[Message]:
    """Convert items to messages; join consecutive text and calls of the assistant into one."""
    messages: list[Message] = []
    names: dict[str, str] = {}
    items = _with_hosted(attach_reasoning(as_functions(prompt.items)), mark)
    if is_harmony:
        items = move_thoughts(items)
    num_earlier = last_user_position(items) if prompt.keeps_reasoning else 0
    for position, item in enumerate(items):
        with_reasoning = (
            thinking.with_kept_reasoning if position < num_earlier else thinking.with_reasoning
        )
        match item.get("type", "message"):
            case "function_call" | "custom_tool_call" | "tool_search_call":
                names[item["call_id"]] = called_name(item)
                message = _calling_message(messages, item.get("thought"), profile, with_reasoning)
                message.setdefault("tool_calls", []).append(_call(item))
            case "function_call_output" | "custom_tool_call_output" | "tool_search_output":
                call_id = item["call_id"]
                messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": call_id,
                        "name": names.get(call_id, ""),
                        "content": _output(item, profile, images),
                    }
                )
            case "additional_tools":
                text = added_tools_text(_brought(item, profile), mark)
                messages.append({"role": "system", "content": text})
            case _:
                message = {
                    "role": _role(item["role"]),
                    "content": _content(item["content"], images),
                }
                if "name" in item:
                    message["name"] = item["name"]
                messages.append(with_reasoning(message, item.get("thought")))
    return messages


def _calling_message(
    messages: list[Message],
    reasoning: str | None,
    profile: Profile,
    with_reasoning: Callable[[Message, str | None], Message],
) -> Message:
    """Return the message to add a call to; some templates allow one call per message."""
    last = messages[-1] if messages else {}
    call_format = profile.call_format
    is_full = call_format.takes_one_call and "tool_calls" in last
    if call_format == HARMONY and last.get("content"):
        is_full = True
    if last.get("role") != "assistant" or reasoning or is_full:
        message: Message = {"role": "assistant", "content": ""}
        messages.append(with_reasoning(message, reasoning))
    return messages[-1]


def _call(item: dict[str, Any]) -> dict[str, Any]:
    if item["type"] == "custom_tool_call":
        custom = {"name": called_name(item), "input": item["input"]}
        return {"id": item["call_id"], "type": "custom", "custom": custom}
    arguments = item["arguments"]
    if isinstance(arguments, str):
        # Truncated arguments, and those that the client wrote, the model gets unchanged.
        with suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments or "{}")
    function = {"name": called_name(item), "arguments": arguments}
    return {"id": item["call_id"], "type": "function", "function": function}


def _output(
    item: dict[str, Any], profile: Profile, images: ImageReader | None
) -> str | list[Message]:
    if item["type"] == "tool_search_output":
        return found_tools_text(_brought(item, profile))
    return _content(item["output"], images)


def _brought(item: dict[str, Any], profile: Profile) -> list[dict[str, Any]]:
    return brought_tools(item, describes_parameters=profile.describes_parameters)


def _with_hosted(
    items: Sequence[dict[str, Any]], mark: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Replace each item of a tool that a server runs by the messages that represent it."""
    expanded: list[dict[str, Any]] = []
    for item in items:
        messages = _hosted_messages(item, mark)
        if messages is None:
            expanded.append(item)
        elif messages:
            reasoning = {"thought": item["thought"]} if "thought" in item else {}
            expanded += [messages[0] | reasoning, *messages[1:]]
    return expanded


def _hosted_messages(item: dict[str, Any], mark: Callable[[str], str]) -> list[Message] | None:
    """Return the messages of an item; None for any other item."""
    if item.get("type") == "web_search_call":
        return messages_of(item, mark)
    message = hosted_message(item, mark)
    return None if message is None else [message]


def _content(content: str | list[Message], images: ImageReader | None) -> str | list[Message]:
    """Return content as text, or as a list of parts if it contains images the model takes."""
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
    """Map `developer` to `system`, the older name that chat templates support."""
    return "system" if role == "developer" else role


def _join_leading_system(messages: list[Message]) -> list[Message]:
    """Join leading system messages, since many templates take only one, at the beginning."""
    num_leading = 0
    while num_leading < len(messages) and _is_system_text(messages[num_leading]):
        num_leading += 1
    if num_leading < 2:
        return messages
    content = "\n\n".join(message["content"] for message in messages[:num_leading])
    return [{"role": "system", "content": content}, *messages[num_leading:]]


def _is_system_text(message: Message) -> bool:
    return message["role"] == "system" and isinstance(message["content"], str)
