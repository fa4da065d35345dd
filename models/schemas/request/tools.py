"""`tools` and `tool_choice`: the tools the model may or must call (specification §2).

Each type of tool is in a file of its own in `models/schemas/tools/`.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.strict import Name, Text, WireModel
from models.schemas.tools.custom import CustomChoice, CustomTool
from models.schemas.tools.function import (
    ChatFunctionChoice,
    ChatFunctionTool,
    FunctionChoice,
    FunctionTool,
)
from models.schemas.tools.mcp import McpChoice, McpTool
from models.schemas.tools.web_search import HostedChoice, WebSearchTool

MAX_TOOLS = 128
"""Maximum number of tools in one list."""
MODE = "_mode"
NESTED = "_nested"
"""Tags of union branches that are not the `type` of a tool or choice."""
TOOL_SEARCH = "tool_search"
"""Name by which a model calls the search for tools."""


def qualified_name(namespace: str | None, name: str) -> str:
    """Return the name by which the model calls a tool of a namespace."""
    if namespace is None:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


class NamespaceTool(WireModel):
    """A group of functions and custom tools; two namespaces may hold one name."""

    type: Literal["namespace"]
    name: Name
    description: Text | None = None
    tools: list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]] = Field(
        min_length=1, max_length=MAX_TOOLS
    )


class ToolSearchTool(WireModel):
    """A search for deferred tools, which the client runs."""

    type: Literal["tool_search"]
    execution: Literal["client"]
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the search's arguments."""


def _union_tag(value: object) -> object:
    """Return the tag of a tool or tool choice, given as JSON or as a model."""
    if isinstance(value, str):
        return MODE
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kind = fields.get("type")
    if kind == "function" and "function" in fields:
        return NESTED
    return "web_search" if str(kind).startswith("web_search") else kind


FlatTool = FunctionTool | CustomTool | NamespaceTool | ToolSearchTool | WebSearchTool | McpTool
Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[ChatFunctionTool, Tag(NESTED)]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[ToolSearchTool, Tag("tool_search")]
    | Annotated[WebSearchTool, Tag("web_search")]
    | Annotated[McpTool, Tag("mcp")],
    Discriminator(_union_tag),
]


def flatten_tool(tool: FlatTool | ChatFunctionTool) -> FlatTool:
    """Return a tool in the flat form, which is stored."""
    if not isinstance(tool, ChatFunctionTool):
        return tool
    return FunctionTool(**tool.function.model_dump())


ToolMode = Literal["none", "auto", "required"]

OneChoice = Annotated[
    Annotated[FunctionChoice, Tag("function")]
    | Annotated[ChatFunctionChoice, Tag(NESTED)]
    | Annotated[CustomChoice, Tag("custom")]
    | Annotated[HostedChoice, Tag("web_search")]
    | Annotated[McpChoice, Tag("mcp")],
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
    | Annotated[CustomChoice, Tag("custom")]
    | Annotated[HostedChoice, Tag("web_search")]
    | Annotated[McpChoice, Tag("mcp")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    Discriminator(_union_tag),
]
NamedChoice = FunctionChoice | CustomChoice
"""Choice of one tool that the client runs."""
FlatChoice = NamedChoice | HostedChoice | McpChoice


def flatten_choice(choice: FlatChoice | ChatFunctionChoice) -> FlatChoice:
    """Return a tool choice in the flat form, which is stored."""
    return (
        FunctionChoice(name=choice.function.name)
        if isinstance(choice, ChatFunctionChoice)
        else choice
    )
