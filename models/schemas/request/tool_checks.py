"""Checks that `tools`, `tool_choice` and constraints on the output are consistent."""

from pydantic_core import PydanticCustomError

from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import (
    AllowedTools,
    FunctionChoice,
    FunctionTool,
    HostedChoice,
    WebSearchTool,
)

SEARCH_NAME = "web_search"
"""Name of the function by which a model calls the web search."""


def check_tools(parameters: GenerationParameters) -> None:
    """Raise `PydanticCustomError`, which names the field, if the fields are inconsistent."""
    _check_names(parameters)
    chosen = parameters.tool_choice
    for choice in chosen.tools if isinstance(chosen, AllowedTools) else [chosen]:
        if _is_missing(choice, parameters):
            raise PydanticCustomError(
                "unknown_tool", "it names a tool that is not given", {"field": "tool_choice"}
            )
    if chosen == "required" and not parameters.tools:
        raise PydanticCustomError(
            "unknown_tool", "there is no tool to be called", {"field": "tool_choice"}
        )
    if parameters.grammar is not None and _must_call(parameters):
        raise PydanticCustomError(
            "conflicting_constraints",
            "it cannot be combined with a tool_choice that requires a function",
            {"field": "grammar"},
        )


def _check_names(parameters: GenerationParameters) -> None:
    has_search = any(isinstance(tool, WebSearchTool) for tool in parameters.tools)
    names = {SEARCH_NAME} if has_search else set()
    for position, tool in enumerate(parameters.tools):
        if not isinstance(tool, FunctionTool):
            continue
        if tool.name in names:
            raise PydanticCustomError(
                "duplicate_name",
                "another tool has this name",
                {"field": f"tools[{position}].name"},
            )
        names.add(tool.name)


def _must_call(parameters: GenerationParameters) -> bool:
    """Return True if the output must be a function call; after a web search text follows."""
    chosen = parameters.tool_choice
    mode = chosen.mode if isinstance(chosen, AllowedTools) else chosen
    has_functions = any(isinstance(tool, FunctionTool) for tool in parameters.tools)
    return has_functions and (mode == "required" or isinstance(chosen, FunctionChoice))


def _is_missing(chosen: object, parameters: GenerationParameters) -> bool:
    match chosen:
        case FunctionChoice(name=name):
            functions = (tool for tool in parameters.tools if isinstance(tool, FunctionTool))
            return all(tool.name != name for tool in functions)
        case HostedChoice():
            return not any(isinstance(tool, WebSearchTool) for tool in parameters.tools)
        case _:
            return False
