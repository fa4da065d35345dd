"""`tools` and `tool_choice` of a chat, in which everything is nested under its type."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.request.tools import MAX_TOOLS, MODE, ToolMode
from models.schemas.strict import Name, Source, Text, WireModel
from models.schemas.tools.custom import TextInput
from models.schemas.tools.function import ChatFunctionChoice, ChatFunctionTool


class ChatGrammar(WireModel):
    """The object under `grammar` of a format."""

    syntax: Literal["lark", "regex"]
    definition: Source


class ChatGrammarInput(WireModel):
    """The input follows a Lark grammar or matches a regular expression."""

    type: Literal["grammar"]
    grammar: ChatGrammar


class ChatCustom(WireModel):
    """The object under `custom` of a tool."""

    name: Name
    description: Text | None = None
    format: Annotated[TextInput | ChatGrammarInput, Field(discriminator="type")] = Field(
        default_factory=TextInput
    )


class ChatCustomTool(WireModel):
    """A tool that the client runs with a text."""

    type: Literal["custom"]
    custom: ChatCustom


ChatTool = Annotated[ChatFunctionTool | ChatCustomTool, Field(discriminator="type")]


class CustomName(WireModel):
    """The object under `custom` of a tool choice."""

    name: Name


class ChatCustomChoice(WireModel):
    """The model must call this custom tool."""

    type: Literal["custom"]
    custom: CustomName


ChatNamedChoice = Annotated[ChatFunctionChoice | ChatCustomChoice, Field(discriminator="type")]


class ToolSubset(WireModel):
    """The object under `allowed_tools`."""

    mode: ToolMode = "auto"
    tools: list[ChatNamedChoice] = Field(min_length=1, max_length=MAX_TOOLS)


class ChatAllowedTools(WireModel):
    """The subset of tools that may be called now; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    allowed_tools: ToolSubset


def _choice_tag(value: object) -> object:
    if isinstance(value, str):
        return MODE
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


ChatToolChoice = Annotated[
    Annotated[ToolMode, Tag(MODE)]
    | Annotated[ChatFunctionChoice, Tag("function")]
    | Annotated[ChatCustomChoice, Tag("custom")]
    | Annotated[ChatAllowedTools, Tag("allowed_tools")],
    Discriminator(_choice_tag),
]
