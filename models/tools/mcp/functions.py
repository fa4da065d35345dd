"""MCP tools as functions that the model sees and calls."""

from collections.abc import Iterator

from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.mcp import McpTool
from models.tools.mcp.listing import Listed, is_allowed, model_name, needs_approval
from models.tools.model_function import ModelFunction


def mcp_functions(parameters: GenerationParameters) -> Iterator[ModelFunction]:
    """Yield the tools of the request's MCP servers, of those that have been listed."""
    for tool in parameters.tools:
        if isinstance(tool, McpTool):
            for listed in parameters.mcp_lists.get(tool.server_label, []):
                if is_allowed(tool, listed):
                    yield _function(tool, listed)


def without_mcp_calls(parameters: GenerationParameters) -> GenerationParameters:
    """Return the parameters of a turn in which no tool of an MCP server may be called any more."""
    if not parameters.mcp_lists:
        return parameters
    changed = parameters.model_copy()
    changed.add_mcp_lists({label: [] for label in parameters.mcp_lists})
    return changed


def has_mcp(parameters: GenerationParameters) -> bool:
    """Return True if the request has tools of MCP servers."""
    return any(isinstance(tool, McpTool) for tool in parameters.tools)


def _function(tool: McpTool, listed: Listed) -> ModelFunction:
    about = (tool.server_description, listed.get("description"))
    return ModelFunction(
        name=model_name(tool.server_label, listed["name"]),
        description="\n".join(filter(None, about)) or None,
        parameters=listed["input_schema"],
        call_type="mcp_approval_request" if needs_approval(tool, listed) else "mcp_call",
        client_name=listed["name"],
        namespace=tool.server_label,
    )
