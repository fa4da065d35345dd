"""`tools` and `tool_choice`: the tools the model may or must call (specification §2).

Functions may be flat, as in the specification, or nested, as in the chat completions API; they are
stored and returned flat.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.strict import Name, Text, WireModel
from models.schemas.unserved import FUNCTION, NAMED_CHOICE, SEARCH

MAX_TOOLS = 128

MODE = "_mode"
NESTED = "_nested"
"""Tags of union branches that are not the `type` of a tool or choice."""

SearchType = Literal[
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
]


class ChatFunction(WireModel):
    """The object under `function` in the nested form of a tool."""

    unserved = FUNCTION

    name: Name
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    output_schema: dict[str, Any] | None = None


class FunctionTool(ChatFunction):
    """A function that the client runs; `parameters` is the JSON schema of its arguments."""

    type: Literal["function"] = "function"


class ChatFunctionTool(WireModel):
    """A function that the client runs, in the nested form of the chat completions API."""

    unserved = FUNCTION

    type: Literal["function"]
    function: ChatFunction


class UserLocation(WireModel):
    """The approximate location of the user, for web searches."""

    type: Literal["approximate"] | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class SearchFilters(WireModel):
    """The sites that a web search may return."""

    allowed_domains: list[str] | None = Field(None, max_length=100)
    blocked_domains: list[str] | None = Field(None, max_length=100)


class WebSearchOptions(WireModel):
    """Options of a web search, as in the chat completions API."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None
    search_description: Text | None = None
    extract_description: Text | None = None


class WebSearchTool(WebSearchOptions):
    """Web search, run by the server."""

    unserved = SEARCH

    type: SearchType = "web_search"
    filters: SearchFilters | None = None


def _union_tag(value: object) -> object:
    """Return the tag of a tool or tool choice, given as JSON or as a model."""
    if isinstance(value, str):
        return MODE
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kind = fields.get("type")
    if kind == "function" and "function" in fields:
        return NESTED
    return "web_search" if str(kind).startswith("web_search") else kind


FlatTool = FunctionTool | WebSearchTool
Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[ChatFunctionTool, Tag(NESTED)]
    | Annotated[WebSearchTool, Tag("web_search")],
    Discriminator(_union_tag),
]


def flatten_tool(tool: FlatTool | ChatFunctionTool) -> FlatTool:
    """Return a tool in the flat form, which is stored."""
    if not isinstance(tool, ChatFunctionTool):
        return tool
    return FunctionTool(**tool.function.model_dump())


ToolMode = Literal["none", "auto", "required"]


class FunctionName(WireModel):
    """The object under `function` in the nested form of a tool choice."""

    unserved = NAMED_CHOICE

    name: Name


class FunctionChoice(WireModel):
    """The model must call this function."""

    unserved = NAMED_CHOICE

    type: Literal["function"] = "function"
    name: Name


class ChatFunctionChoice(WireModel):
    """The model must call this function; the nested form of the chat completions API."""

    type: Literal["function"]
    function: FunctionName


class HostedChoice(WireModel):
    """The model must use this tool, which the server runs."""

    type: SearchType


OneChoice = Annotated[
    Annotated[FunctionChoice, Tag("function")]
    | Annotated[ChatFunctionChoice, Tag(NESTED)]
    | Annotated[HostedChoice, Tag("web_search")],
    Discriminator(_union_tag),
]


class AllowedTools(WireModel):
    """The subset of tools that may be called now; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    mode: ToolMode = "auto"
    tools: list[OneChoice] = Field(min_length=1, max_length=MAX_TOOLS)


ToolChoice = Annotated[
    Annotated[ToolMode, Tag(MODE)]
    | Annotated[FunctionChoice, Tag("function")]
    | Annotated[ChatFunctionChoice, Tag(NESTED)]
    | Annotated[HostedChoice, Tag("web_search")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    Discriminator(_union_tag),
]
FlatChoice = FunctionChoice | HostedChoice


def flatten_choice(choice: FlatChoice | ChatFunctionChoice) -> FlatChoice:
    """Return a tool choice in the flat form, which is stored."""
    return (
        FunctionChoice(name=choice.function.name)
        if isinstance(choice, ChatFunctionChoice)
        else choice
    )
