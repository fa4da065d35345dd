"""Tools as the model sees and calls them, whatever their type in the request."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from models.schemas.request.tools import (
    TOOL_SEARCH,
    FlatTool,
    NamespaceTool,
    Tool,
    ToolSearchTool,
    flatten_tool,
    qualified_name,
)
from models.schemas.tools.call_items import CallType, HostedType
from models.schemas.tools.custom import CustomTool, InputFormat
from models.schemas.tools.function import FunctionTool
from models.schemas.tools.mcp import McpTool
from models.schemas.tools.web_search import WebSearchTool

_TOOLS: TypeAdapter[list[Tool]] = TypeAdapter(list[Tool])
_SEARCH_ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFunction:
    """Tool as the model sees and calls it."""

    name: str
    """Name that the model writes; differs from all others of the request."""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments; None for a custom tool."""
    strict: bool | None = None
    input_format: InputFormat | None = None
    """Format of a custom tool's input, which is text in the place of arguments."""
    call_type: CallType | HostedType = "function_call"
    """Type of the item of its calls."""
    client_name: str = ""
    """Name that the client has given it, within its namespace."""
    namespace: str | None = None
    is_deferred: bool = False
    """True if the model does not know it until an item of the input brings it."""

    def item_fields(self) -> dict[str, Any]:
        """Return the fields of the item of a call that say what is called."""
        match self.call_type:
            case "tool_search_call":
                return {}
            case "mcp_call" | "mcp_approval_request":
                return {"name": self.client_name, "server_label": self.namespace}
        return {"name": self.client_name, "namespace": self.namespace}


def model_functions(tools: Iterable[FlatTool]) -> list[ModelFunction]:
    """Return the tools that the client runs as functions, in order, the deferred included."""
    return [function for tool in tools for function in _FUNCTIONS_OF[type(tool)](tool)]


def read_tools(tools: Sequence[dict[str, Any]]) -> list[FlatTool]:
    """Return tools of an item, as they are stored, as models."""
    return [flatten_tool(tool) for tool in _TOOLS.validate_python(tools)]


def called_name(item: dict[str, Any]) -> str:
    """Return the name by which the model made the call in an item."""
    if item["type"] == "tool_search_call":
        return TOOL_SEARCH
    return qualified_name(item.get("namespace"), item["name"])


def _of_function(tool: FunctionTool, namespace: str | None = None) -> Iterator[ModelFunction]:
    yield ModelFunction(
        name=qualified_name(namespace, tool.name),
        description=tool.description,
        parameters=tool.parameters,
        strict=tool.strict,
        client_name=tool.name,
        namespace=namespace,
        is_deferred=bool(tool.defer_loading),
    )


def _of_custom(tool: CustomTool, namespace: str | None = None) -> Iterator[ModelFunction]:
    yield ModelFunction(
        name=qualified_name(namespace, tool.name),
        description=tool.description,
        input_format=tool.format,
        call_type="custom_tool_call",
        client_name=tool.name,
        namespace=namespace,
        is_deferred=bool(tool.defer_loading),
    )


def _of_namespace(tool: NamespaceTool) -> Iterator[ModelFunction]:
    """Yield the tools inside; the first is described with the namespace."""
    about = tool.description
    for inner in tool.tools:
        if isinstance(inner, CustomTool):
            functions = _of_custom(inner, tool.name)
        else:
            functions = _of_function(inner, tool.name)
        for function in functions:
            described = "\n\n".join(filter(None, (about, function.description)))
            yield replace(function, description=described or None)
        about = None


def _of_tool_search(tool: ToolSearchTool) -> Iterator[ModelFunction]:
    yield ModelFunction(
        name=TOOL_SEARCH,
        description=tool.description or "Search for further tools, which can then be called.",
        parameters=tool.parameters or _SEARCH_ARGUMENTS,
        call_type="tool_search_call",
    )


def _of_hosted(tool: WebSearchTool | McpTool) -> Iterator[ModelFunction]:
    """Yield nothing: the server runs it (models/tools/web_search.py, models/tools/mcp/)."""
    del tool
    yield from ()


_FUNCTIONS_OF: dict[type[FlatTool], Callable[[Any], Iterator[ModelFunction]]] = {
    FunctionTool: _of_function,
    CustomTool: _of_custom,
    NamespaceTool: _of_namespace,
    ToolSearchTool: _of_tool_search,
    WebSearchTool: _of_hosted,
    McpTool: _of_hosted,
}
"""Type of tool → function that yields what the model may call for it."""
