"""Functions, calls and their outputs in words, for models whose chat template knows of none."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from models.schemas.request.tools import FunctionTool

_TOOLS_PROMPT = """\
You may call functions to help with the user's request. They are described in <tools></tools>:
<tools>
{tools}
</tools>
To call one, answer with a JSON object that has its name and arguments, in <tool_call></tool_call>:
<tool_call>
{{"name": <function name>, "arguments": <arguments as an object>}}
</tool_call>"""

_SHOWN = ("name", "description", "parameters")


def tools_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """What a system message says of functions."""
    described = "\n".join(orjson.dumps(tool).decode() for tool in tools)
    return _TOOLS_PROMPT.format(tools=described)


def chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]]:
    """Functions as chat templates take them."""
    fields = (tool.model_dump(include=set(_SHOWN), exclude_none=True) for tool in tools)
    return [
        {"type": "function", "function": {key: each[key] for key in _SHOWN if key in each}}
        for each in fields
    ]


def in_words(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls as text of the assistant, outputs as a message of the user; those in a row are one."""
    written: list[dict[str, Any]] = []
    was_output = False
    for message in messages:
        is_output = message["role"] == "tool"
        if is_output:
            _add_output(written, message["content"], is_first=not was_output)
        elif "tool_calls" in message:
            others = {key: value for key, value in message.items() if key != "tool_calls"}
            calls = "\n".join(_call_text(call["function"]) for call in message["tool_calls"])
            written.append(others | {"content": _joined(message["content"], calls)})
        else:
            written.append(message)
        was_output = is_output
    return written


def _add_output(
    written: list[dict[str, Any]], content: str | list[dict[str, Any]], *, is_first: bool
) -> None:
    said = _joined(_joined("<tool_response>", content), "</tool_response>")
    if is_first:
        written.append({"role": "user", "content": said})
    else:
        written[-1] = written[-1] | {"content": _joined(written[-1]["content"], said)}


def _call_text(function: dict[str, Any]) -> str:
    """As grammars have it, so that the prompt goes on as the output was."""
    return f"<tool_call>\n{json.dumps(function, ensure_ascii=False)}\n</tool_call>"


def _joined(
    first: str | list[dict[str, Any]], second: str | list[dict[str, Any]]
) -> str | list[dict[str, Any]]:
    """Two contents one below the other: a text, or parts if one of them has any."""
    if isinstance(first, str) and isinstance(second, str):
        separator = "" if not first or first.endswith("\n") else "\n"
        return first + separator + second
    parts = [
        [{"type": "text", "text": each}] if isinstance(each, str) else each
        for each in (first, second)
    ]
    return [*parts[0], *parts[1]]
