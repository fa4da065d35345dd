"""Checks that `tools`, `tool_choice` and constraints on the output are consistent."""

from collections.abc import Iterator

from pydantic_core import PydanticCustomError

from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import (
    TOOL_SEARCH,
    AllowedTools,
    FlatTool,
    NamedChoice,
    NamespaceTool,
    ToolSearchTool,
    qualified_name,
)
from models.schemas.tools.custom import CustomChoice, CustomTool
from models.schemas.tools.function import FunctionChoice, FunctionTool
from models.schemas.tools.mcp import McpChoice, McpTool
from models.schemas.tools.web_search import HostedChoice, WebSearchTool

SEARCH_NAME = "web_search"
"""Name of the function by which a model calls the web search."""

_NamedTool = FunctionTool | CustomTool


def check_tools(parameters: GenerationParameters, *, may_bring_tools: bool) -> None:
    """Raise `PydanticCustomError`, which names the field, if the fields are inconsistent.

    `may_bring_tools`: items of the input or of its context may bring the tool that is chosen.
    """
    check_names(parameters.flat_tools)
    _check_mcp(parameters)
    chosen = parameters.tool_choice
    for choice in chosen.tools if isinstance(chosen, AllowedTools) else [chosen]:
        if _is_missing(choice, parameters, may_bring_tools=may_bring_tools):
            raise PydanticCustomError(
                "unknown_tool", "it names a tool that is not given", {"field": "tool_choice"}
            )
    if chosen == "required" and not parameters.tools and not may_bring_tools:
        raise PydanticCustomError(
            "unknown_tool", "there is no tool to be called", {"field": "tool_choice"}
        )
    if parameters.grammar is not None and _must_call(parameters):
        raise PydanticCustomError(
            "conflicting_constraints",
            "it cannot be combined with a tool_choice that requires a function",
            {"field": "grammar"},
        )


def _check_mcp(parameters: GenerationParameters) -> None:
    """Raise `PydanticCustomError` if two MCP servers have one label, or choices share one."""
    labels: set[str] = set()
    for position, tool in enumerate(parameters.tools):
        if not isinstance(tool, McpTool):
            continue
        if tool.server_label in labels:
            param = f"tools[{position}].server_label"
            raise PydanticCustomError(
                "duplicate_name", "another tool has this label", {"field": param}
            )
        labels.add(tool.server_label)
    if labels and (parameters.n or 1) > 1:
        raise PydanticCustomError(
            "conflicting_values", "it must be 1 where there are MCP tools", {"field": "n"}
        )


def check_names(tools: list[FlatTool], path: str = "tools") -> None:
    """Raise `PydanticCustomError` if the model would call two tools by one name."""
    names: set[str] = set()
    for name, param in _names(tools, path):
        if name in names:
            raise PydanticCustomError(
                "duplicate_name", "another tool has this name", {"field": param}
            )
        names.add(name)


def _names(tools: list[FlatTool], path: str) -> Iterator[tuple[str, str]]:
    """Yield the names by which the model calls the tools, with the fields they come from."""
    has_search = any(isinstance(tool, WebSearchTool) for tool in tools)
    if has_search:
        yield SEARCH_NAME, path
    for position, tool in enumerate(tools):
        match tool:
            case FunctionTool() | CustomTool():
                yield tool.name, f"{path}[{position}].name"
            case NamespaceTool():
                for number, inner in enumerate(tool.tools):
                    param = f"{path}[{position}].tools[{number}].name"
                    yield qualified_name(tool.name, inner.name), param
            case ToolSearchTool():
                yield TOOL_SEARCH, f"{path}[{position}].type"
            case WebSearchTool() | McpTool():
                pass


def _must_call(parameters: GenerationParameters) -> bool:
    """Return True if the output must be a call that the client answers."""
    chosen = parameters.tool_choice
    mode = chosen.mode if isinstance(chosen, AllowedTools) else chosen
    has_functions = any(not isinstance(tool, WebSearchTool | McpTool) for tool in parameters.tools)
    return has_functions and (mode == "required" or isinstance(chosen, NamedChoice))


def _is_missing(chosen: object, parameters: GenerationParameters, *, may_bring_tools: bool) -> bool:
    match chosen:
        case FunctionChoice() | CustomChoice():
            named = _named_tools(parameters.flat_tools)
            return not may_bring_tools and not any(
                _is_chosen(chosen, namespace, tool) for namespace, tool in named
            )
        case HostedChoice():
            return not any(isinstance(tool, WebSearchTool) for tool in parameters.tools)
        case McpChoice(server_label=label):
            return not any(
                isinstance(tool, McpTool) and tool.server_label == label
                for tool in parameters.tools
            )
        case _:
            return False


def _named_tools(tools: list[FlatTool]) -> Iterator[tuple[str | None, _NamedTool]]:
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            for inner in tool.tools:
                yield tool.name, inner
        elif isinstance(tool, _NamedTool):
            yield None, tool


def _is_chosen(choice: NamedChoice, namespace: str | None, tool: _NamedTool) -> bool:
    is_inside = choice.namespace in (None, namespace)
    return tool.type == choice.type and tool.name == choice.name and is_inside
