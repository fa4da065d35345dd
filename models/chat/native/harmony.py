"""Messages as the chat template of gpt-oss (harmony) takes them.

It names an output after the call before it, takes one call per message, and with the call either a
text or reasoning. It leaves out system messages but the first.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

_CALLS = ("function_call", "custom_tool_call", "tool_search_call")


def move_thoughts(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return items in which reasoning stands with the call that follows a text, not with the text.

    The template leaves out that of texts.
    """
    moved = [dict(item) for item in items]
    for item, following in pairwise(moved):
        is_text = item.get("role") == "assistant" and "thought" in item
        if is_text and following.get("type") in _CALLS and "thought" not in following:
            following["thought"] = item.pop("thought")
    return moved


def for_harmony(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages in which each output follows its call, and no system message is left out."""
    outputs = {
        message["tool_call_id"]: message for message in messages if "tool_call_id" in message
    }
    ordered: list[dict[str, Any]] = []
    for message in messages:
        if "tool_call_id" in message:
            if message["tool_call_id"] in outputs:
                ordered.append(outputs.pop(message["tool_call_id"]))
            continue
        if message["role"] == "system" and ordered and ordered[-1]["role"] != "system":
            message = message | {"role": "user"}
        ordered.append(message)
        for call in message.get("tool_calls", ()):
            if call["id"] in outputs:
                ordered.append(outputs.pop(call["id"]))
    return ordered
