"""Items of tools that other servers have run, as the model reads them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson


class _Reading(NamedTuple):
    """Role of the message that stands for an item, and the fields that it shows."""

    role: str
    fields: tuple[str, ...]


_READINGS: dict[str, _Reading] = {
    "file_search_call": _Reading("assistant", ("queries", "results")),
    "code_interpreter_call": _Reading("assistant", ("code", "outputs")),
    "shell_call": _Reading("assistant", ("action",)),
    "shell_call_output": _Reading("user", ("output",)),
    "local_shell_call": _Reading("assistant", ("action",)),
    "local_shell_call_output": _Reading("user", ("output",)),
    "apply_patch_call": _Reading("assistant", ("operation",)),
    "apply_patch_call_output": _Reading("user", ("status", "output")),
}

HOSTED_CALLS = tuple(kind for kind, reading in _READINGS.items() if reading.role == "assistant")
"""Types of items that the assistant has made."""


def hosted_message(item: dict[str, Any], mark: Callable[[str], str] = str) -> dict[str, Any] | None:
    """Return the message that stands for an item; None for an item of any other kind.

    `mark` is applied to the tags around its text (models/chat/control_tokens.py).
    """
    reading = _READINGS.get(item.get("type", ""))
    if reading is None:
        return None
    shown = {name: item[name] for name in reading.fields if name in item}
    tag = "tool_call" if reading.role == "assistant" else "tool_response"
    body = orjson.dumps({"tool": item["type"], **shown}).decode()
    return {"role": reading.role, "content": f"{mark(f'<{tag}>')}\n{body}\n{mark(f'</{tag}>')}"}
