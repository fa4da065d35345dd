"""Functions, calls and outputs as plain text, for chat templates without tool support."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from models.grammars.json_schema.nodes import map_nodes
from models.tools.custom import custom_head
from models.tools.model_function import ModelFunction, model_functions, read_tools

_TOOLS_PROMPT = """\
You may call functions to help with the user's request. They are described in <tools></tools>:
<tools>
{tools}
</tools>
To call one, answer with a JSON object that has its name and arguments, in <tool_call></tool_call>:
<tool_call>
{{"name": <function name>, "arguments": <arguments as an object>}}
</tool_call>"""

_CUSTOM_PROMPT = """\
Tools of type "custom" take text instead of arguments, as their format says. To call one, write \
its name in a JSON object after <tool_call> and the text from the next line on; it ends the answer:
<tool_call>
{"name": <tool name>}
<text>"""

_ADDED_PROMPT = """\
From now on you may also call these:
<tools>
{tools}
</tools>"""


def tools_prompt(tools: Sequence[dict[str, Any]], mark: Callable[[str], str] = str) -> str:
    """Return the part of the system message that describes functions.

    `mark` is applied to what clients did not write (models/chat/control_tokens.py).
    """
    definitions = "\n".join(orjson.dumps(tool).decode() for tool in tools)
    text = mark(_TOOLS_PROMPT).format(tools=definitions)
    has_custom = any(tool["type"] == "custom" for tool in tools)
    return f"{text}\n{mark(_CUSTOM_PROMPT)}" if has_custom else text


def chat_tools(
    tools: Sequence[ModelFunction], *, describes_parameters: bool = True
) -> list[dict[str, Any]]:
    """Convert functions to the format of chat templates, and custom tools to that of chat APIs."""
    return [_chat_tool(tool, describes_parameters) for tool in tools]


def _chat_tool(tool: ModelFunction, describes_parameters: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.input_format is None:
        kind, shown["parameters"] = "function", tool.parameters
        if tool.parameters is not None and not describes_parameters:
            shown["parameters"] = map_nodes(tool.parameters, _without_description)
    else:
        kind, shown["format"] = "custom", tool.input_format.model_dump()
    return {"type": kind, kind: {key: value for key, value in shown.items() if value is not None}}


def _without_description(schema: dict[str, Any], path: str) -> dict[str, Any]:
    del path
    return {name: value for name, value in schema.items() if name != "description"}


def brought_tools(
    item: dict[str, Any], *, describes_parameters: bool = True
) -> list[dict[str, Any]]:
    """Return the tools that an item brings in the format of `chat_tools`."""
    functions = model_functions(read_tools(item["tools"]))
    return chat_tools(functions, describes_parameters=describes_parameters)


def found_tools_text(tools: Sequence[dict[str, Any]]) -> str:
    """Return the result of a search for tools as the model reads it."""
    return orjson.dumps({"tools": tools}).decode()


def added_tools_text(tools: Sequence[dict[str, Any]], mark: Callable[[str], str] = str) -> str:
    """Return the message that tells the model of further tools.

    `mark` is applied to what clients did not write (models/chat/control_tokens.py).
    """
    definitions = "\n".join(orjson.dumps(tool).decode() for tool in tools)
    return mark(_ADDED_PROMPT).format(tools=definitions)


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
            calls = "\n".join(_call_text(call, mark) for call in message["tool_calls"])
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


def _call_text(call: dict[str, Any], mark: Callable[[str], str]) -> str:
    """Return a call as grammars format it, so that the prompt repeats the output exactly."""
    if call["type"] == "custom":
        custom = call["custom"]
        return f"{mark('<tool_call>')}\n{custom_head(custom['name'])}{custom['input']}"
    text = json.dumps(call["function"], ensure_ascii=False)
    return f"{mark('<tool_call>')}\n{text}\n{mark('</tool_call>')}"


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
