"""Functions, calls and outputs as plain text, for chat templates without tool support."""

import json
from collections.abc import Callable, Sequence
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


def tools_prompt(tools: Sequence[dict[str, Any]], mark: Callable[[str], str] = str) -> str:
    """Return the part of the system message that describes functions.

    `mark` is applied to what clients did not write (models/chat/control_tokens.py).
    """
    definitions = "\n".join(orjson.dumps(tool).decode() for tool in tools)
    return mark(_TOOLS_PROMPT).format(tools=definitions)


def chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]]:
    """Convert functions to the format of chat templates."""
    functions = (tool.model_dump(include=set(_SHOWN), exclude_none=True) for tool in tools)
    return [
        {"type": "function", "function": {key: function[key] for key in _SHOWN if key in function}}
        for function in functions
    ]


def calls_as_text(
    messages: Sequence[dict[str, Any]], mark: Callable[[str], str] = str
) -> list[dict[str, Any]]:
    """Rewrite tool calls as assistant text, and consecutive tool outputs as one user message.

    `mark` is applied to the tags around them (models/chat/control_tokens.py).
    """
    written: list[dict[str, Any]] = []
    was_output = False
    for message in messages:
        is_output = message["role"] == "tool"
        if is_output:
            response = _join(mark("<tool_response>"), message["content"])
            _add_output(written, _join(response, mark("</tool_response>")), is_first=not was_output)
        elif "tool_calls" in message:
            others = {key: value for key, value in message.items() if key != "tool_calls"}
            calls = "\n".join(_call_text(call["function"], mark) for call in message["tool_calls"])
            written.append(others | {"content": _join(message["content"], calls)})
        else:
            written.append(message)
        was_output = is_output
    return written


def _add_output(
    written: list[dict[str, Any]], response: str | list[dict[str, Any]], *, is_first: bool
) -> None:
    if is_first:
        written.append({"role": "user", "content": response})
    else:
        written[-1] = written[-1] | {"content": _join(written[-1]["content"], response)}


def _call_text(function: dict[str, Any], mark: Callable[[str], str]) -> str:
    """Return a call as grammars format it, so that the prompt repeats the output exactly."""
    call = json.dumps(function, ensure_ascii=False)
    return f"{mark('<tool_call>')}\n{call}\n{mark('</tool_call>')}"


def _join(
    first: str | list[dict[str, Any]], second: str | list[dict[str, Any]]
) -> str | list[dict[str, Any]]:
    """Join two contents with a line break: as text, or as parts if either is a list of parts."""
    if isinstance(first, str) and isinstance(second, str):
        separator = "" if not first or first.endswith("\n") else "\n"
        return first + separator + second
    parts = [
        [{"type": "text", "text": content}] if isinstance(content, str) else content
        for content in (first, second)
    ]
    return [*parts[0], *parts[1]]
