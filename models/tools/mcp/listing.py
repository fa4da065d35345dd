"""Tools of MCP servers as they are listed: which may be called, how, and by which name."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from models.schemas.tools.mcp import McpTool, McpToolFilter

_MAX_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_HASH_DIGITS = 8

Listed = dict[str, Any]
"""A tool of an item `mcp_list_tools`: name, description, input_schema, annotations."""


def model_name(server_label: str, name: str) -> str:
    """Return the name by which the model calls a tool.

    A hash stands for what no function's name may have, and for the end of a long name.
    """
    whole = f"{server_label}__{name}"
    clean = _NOT_IN_NAMES.sub("_", whole)
    if clean == whole and len(whole) <= _MAX_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{clean[: _MAX_NAME - _HASH_DIGITS - 1]}_{digest}"


def is_allowed(tool: McpTool, listed: Listed) -> bool:
    """Return True if `allowed_tools` allows a tool of the server."""
    match tool.allowed_tools:
        case None:
            return True
        case list() as names:
            return listed["name"] in names
        case McpToolFilter() as chosen:
            return _matches(chosen, listed)


def needs_approval(tool: McpTool, listed: Listed) -> bool:
    """Return True if the client must approve a call; it need not only if it says so."""
    approval = tool.require_approval
    if approval is None or isinstance(approval, str):
        return approval != "never"
    if approval.always is not None and _matches(approval.always, listed):
        return True
    return approval.never is None or not _matches(approval.never, listed)


def is_repeatable(listed: Listed) -> bool:
    """Return True if the server says that a second, equal call changes nothing."""
    annotations = listed.get("annotations") or {}
    return any(annotations.get(hint) is True for hint in ("readOnlyHint", "idempotentHint"))


def lists_in(items: Iterable[dict[str, Any]]) -> dict[str, list[Listed]]:
    """Return the latest list of each server, by its label, among the items of a context."""
    return {
        item["server_label"]: item["tools"]
        for item in items
        if item.get("type") == "mcp_list_tools" and not item.get("error")
    }


def _matches(chosen: McpToolFilter, listed: Listed) -> bool:
    """Return True if a filter names a tool; one that says nothing names none."""
    if chosen.tool_names is None and chosen.read_only is None:
        return False
    is_read_only = (listed.get("annotations") or {}).get("readOnlyHint") is True
    is_named = chosen.tool_names is None or listed["name"] in chosen.tool_names
    return is_named and chosen.read_only in (None, is_read_only)
