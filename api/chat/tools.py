"""Conversion of the tools of a chat, and of the choice among them."""

from typing import Any

from models.schemas.chat.tools import (
    ChatAllowedTools,
    ChatCustomChoice,
    ChatCustomTool,
    ChatGrammarInput,
    ChatToolChoice,
)
from models.schemas.tools.function import ChatFunctionChoice, ChatFunctionTool


def convert_tool(tool: ChatFunctionTool | ChatCustomTool) -> ChatFunctionTool | dict[str, Any]:
    """Return a tool as responses spell it; functions may be nested there as well."""
    if isinstance(tool, ChatFunctionTool):
        return tool
    custom = tool.custom
    fields: dict[str, Any] = {"type": "custom", "name": custom.name}
    if custom.description is not None:
        fields["description"] = custom.description
    if isinstance(custom.format, ChatGrammarInput):
        fields["format"] = {"type": "grammar", **custom.format.grammar.model_dump()}
    return fields


def convert_choice(choice: ChatToolChoice | None) -> object:
    """Return a tool choice as responses spell it."""
    if not isinstance(choice, ChatAllowedTools):
        return _convert_named(choice)
    allowed = choice.allowed_tools
    tools = [_convert_named(tool) for tool in allowed.tools]
    return {"type": "allowed_tools", "mode": allowed.mode, "tools": tools}


def _convert_named(choice: str | ChatFunctionChoice | ChatCustomChoice | None) -> object:
    if isinstance(choice, ChatCustomChoice):
        return {"type": "custom", "name": choice.custom.name}
    return choice
