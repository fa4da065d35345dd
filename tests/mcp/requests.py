"""Requests with MCP tools, what models write to call them, and readers of what comes of it."""

import json
from typing import Any

from models.tools.mcp.listing import model_name
from tests.mcp.process import LABEL

MCP: dict[str, Any] = {"type": "mcp", "server_label": LABEL, "require_approval": "never"}
TOOLS: dict[str, Any] = {"tools": [MCP]}
ASKING: dict[str, Any] = {"tools": [{"type": "mcp", "server_label": LABEL}]}


def call_text(name: str, **arguments: Any) -> str:
    """Return a call of a tool as models write it."""
    call = json.dumps({"name": model_name(LABEL, name), "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"


def items_of(response: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the items of a type in the output of a response."""
    return [item for item in response["output"] if item["type"] == kind]


def types_of(response: dict[str, Any]) -> list[str]:
    """Return the types of the items in the output of a response."""
    return [item["type"] for item in response["output"]]
