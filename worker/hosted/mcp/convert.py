"""Conversion of what MCP servers answer: lists of tools and results of calls."""

from typing import TYPE_CHECKING, Any

import orjson

from models.schemas.tools.mcp import McpTool
from models.schemas.tools.mcp_items import MAX_LISTED
from models.tools.mcp.listing import Listed, is_allowed
from models.tools.mcp.results import MAX_OUTPUT, McpResult
from worker.hosted.mcp.errors import McpServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.types import CallToolResult, Tool

MAX_LIST_BYTES = 256 << 10
"""Maximum size of one list of tools, as JSON."""
_MAX_NAME = 128
_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**64 - 1
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def listed_tools(tool: McpTool, found: "Sequence[Tool]") -> list[Listed]:
    """Return the tools that a request may call; raise `McpServerError` if they are too many."""
    listed = [_listed(one) for one in found if 0 < len(one.name) <= _MAX_NAME]
    allowed = [one for one in listed if is_allowed(tool, one)]
    if len(allowed) > MAX_LISTED:
        raise McpServerError(
            f"the server lists {len(allowed)} tools, more than {MAX_LISTED}: choose some by "
            "allowed_tools"
        )
    size = len(orjson.dumps(allowed))
    if size > MAX_LIST_BYTES:
        raise McpServerError(
            f"the server's list of tools has {size} bytes, more than {MAX_LIST_BYTES}: choose some "
            "by allowed_tools"
        )
    return allowed


def to_result(answer: "CallToolResult") -> McpResult:
    """Return the result of a call: its text, and a note in the place of what is not text."""
    texts = [_text(block.model_dump(by_alias=True)) for block in answer.content]
    if not texts and answer.structured_content is not None:
        texts = [orjson.dumps(_clean(answer.structured_content)).decode()]
    text = _clean("\n".join(texts))
    result = McpResult(error=text) if answer.is_error else McpResult(output=text)
    return result.cut(MAX_OUTPUT)


def _listed(tool: "Tool") -> Listed:
    listed: Listed = {"name": tool.name, "input_schema": tool.input_schema}
    if tool.description:
        listed["description"] = tool.description
    if tool.annotations is not None:
        annotations = tool.annotations.model_dump(by_alias=True, exclude_none=True)
        listed["annotations"] = annotations
    cleaned: Listed = _clean(listed)
    return cleaned


def _clean(value: Any) -> Any:
    """Return a value of JSON without what cannot be stored.

    That is NUL, surrogates, and integers of more than 64 bits, of which the nearest is kept.
    """
    match value:
        case int() if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            return max(_LEAST_INTEGER, min(value, _GREATEST_INTEGER))
        case str():
            return value.encode(errors="replace").decode().replace("\0", _REPLACEMENT)
        case dict():
            return {_clean(key): _clean(inner) for key, inner in value.items()}
        case list():
            return [_clean(inner) for inner in value]
    return value


def _text(block: dict[str, Any]) -> str:
    """Return a block of content as text."""
    match block["type"]:
        case "text":
            return str(block["text"])
        case "resource_link":
            return str(block["uri"])
        case "resource":
            resource = block["resource"]
            return str(resource.get("text") or f"({resource['uri']}: data, left out)")
        case kind:
            return f"({kind} of type {block.get('mimeType')}, left out)"
