"""Tools that items of the input bring: `tool_search_output` and `additional_tools`."""

from collections.abc import Iterable
from typing import Any

from models.schemas.request.parameters import GenerationParameters
from models.tools.mcp.listing import lists_in
from models.tools.model_function import read_tools

BRINGING = ("tool_search_output", "additional_tools")
"""Types of items that bring tools."""


def with_added_tools(
    parameters: GenerationParameters, items: Iterable[dict[str, Any]]
) -> GenerationParameters:
    """Return the parameters with the tools that items of the context bring, or list."""
    items = list(items)
    tools = [tool for item in items if item.get("type") in BRINGING for tool in item["tools"]]
    lists = lists_in(items)
    if not tools and not lists:
        return parameters
    changed = parameters.model_copy()
    changed.add_tools(read_tools(tools))
    changed.add_mcp_lists(lists)
    return changed
