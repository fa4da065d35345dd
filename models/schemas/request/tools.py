"""`tools` and `tool_choice`: what the model may call, and whether it must (specification §2).

Functions may be spelt flat, as the specification has it, or nested, as chat completions do; what
is stored and echoed is flat.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.strict import Name, Text, WireModel

MAX_TOOLS = 128

SearchType = Literal[
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
]


class ChatFunction(WireModel):
    """What stands under `function` in the nested spelling."""

    name: Name
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(ChatFunction):
    """A function that the client runs; `parameters` is the schema of its arguments."""

    type: Literal["function"] = "function"


class ChatFunctionTool(WireModel):
    """The same in the nested spelling."""

    type: Literal["function"]
    function: ChatFunction


class UserLocation(WireModel):
    """Roughly where the user is, for searches."""

    type: Literal["approximate"] | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class SearchFilters(WireModel):
    """Which sites a search may find."""

    allowed_domains: list[str] | None = Field(None, max_length=100)
    blocked_domains: list[str] | None = Field(None, max_length=100)


class WebSearchOptions(WireModel):
    """How the web is searched, as chat completions spell it."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None
    search_description: Text | None = None
    extract_description: Text | None = None


class WebSearchTool(WebSearchOptions):
    """The web, searched by the server."""

    type: SearchType = "web_search"
    filters: SearchFilters | None = None


def _spelling(value: object) -> object:
    """Which branch of a union a tool or a choice belongs to, given or made."""
    if isinstance(value, str):
        return "mode"
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kind = fields.get("type")
    if kind == "function" and "function" in fields:
        return "nested"
    return "web_search" if str(kind).startswith("web_search") else kind


FlatTool = FunctionTool | WebSearchTool
Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[ChatFunctionTool, Tag("nested")]
    | Annotated[WebSearchTool, Tag("web_search")],
    Discriminator(_spelling),
]


def flat_tool(tool: FlatTool | ChatFunctionTool) -> FlatTool:
    """A tool in the spelling that is stored."""
    if not isinstance(tool, ChatFunctionTool):
        return tool
    return FunctionTool(**tool.function.model_dump())


ToolMode = Literal["none", "auto", "required"]


class FunctionName(WireModel):
    """What stands under `function` in the nested spelling of a choice."""

    name: Name


class FunctionChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"] = "function"
    name: Name


class ChatFunctionChoice(WireModel):
    """The same in the nested spelling."""

    type: Literal["function"]
    function: FunctionName


class HostedChoice(WireModel):
    """The model must use this tool of the server."""

    type: SearchType


OneChoice = Annotated[
    Annotated[FunctionChoice, Tag("function")]
    | Annotated[ChatFunctionChoice, Tag("nested")]
    | Annotated[HostedChoice, Tag("web_search")],
    Discriminator(_spelling),
]


class AllowedTools(WireModel):
    """Of all tools, which may be called now; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    mode: ToolMode = "auto"
    tools: list[OneChoice] = Field(min_length=1, max_length=MAX_TOOLS)


ToolChoice = Annotated[
    Annotated[ToolMode, Tag("mode")]
    | Annotated[FunctionChoice, Tag("function")]
    | Annotated[ChatFunctionChoice, Tag("nested")]
    | Annotated[HostedChoice, Tag("web_search")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    Discriminator(_spelling),
]
FlatChoice = FunctionChoice | HostedChoice


def flat_choice(choice: FlatChoice | ChatFunctionChoice) -> FlatChoice:
    """A choice in the spelling that is stored."""
    return (
        FunctionChoice(name=choice.function.name)
        if isinstance(choice, ChatFunctionChoice)
        else choice
    )
