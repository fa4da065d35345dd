"""MCP items of a context as the calls and outputs of functions, which the model reads."""

from collections.abc import Sequence
from typing import Any

from models.tools.mcp.approvals import answers_in
from models.tools.mcp.listing import model_name
from models.tools.mcp.results import McpResult, result_json

_NOT_APPROVED = "the user has not approved this call"


def as_functions(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items with MCP calls as calls of functions, each with its output.

    Lists of tools are left out, as their tools are described with the others. An approval that was
    not given is the output of its call; the call of one that was given is an item of its own.
    """
    answers = answers_in(items)
    expanded: list[dict[str, Any]] = []
    for position, item in enumerate(items):
        match item.get("type"):
            case "mcp_call":
                expanded += _call(item, position, _result_of(item))
            case "mcp_approval_request":
                answer = answers.get(item["id"], {})
                if not answer.get("approve"):
                    reason = answer.get("reason")
                    error = f"{_NOT_APPROVED}: {reason}" if reason else _NOT_APPROVED
                    expanded += _call(item, position, McpResult(error=error))
            case "mcp_list_tools" | "mcp_approval_response":
                pass
            case _:
                expanded.append(item)
    return expanded


def _call(item: dict[str, Any], position: int, result: McpResult) -> list[dict[str, Any]]:
    """Return a call and its output, the latter as the model read it when it made the call."""
    call_id = f"mcp_{position}"
    call = {
        "type": "function_call",
        "call_id": call_id,
        "name": model_name(item["server_label"], item["name"]),
        "arguments": item["arguments"],
    }
    output = {"type": "function_call_output", "call_id": call_id, "output": result_json(result)}
    return [call, output]


def _result_of(item: dict[str, Any]) -> McpResult:
    error = item.get("error")
    if not error:
        return McpResult(output=item.get("output") or "")
    if isinstance(error, str):
        return McpResult(error=error)
    if "message" in error:
        return McpResult(error=error["message"])
    content = error.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in parts]
    return McpResult(error="\n".join(texts))
