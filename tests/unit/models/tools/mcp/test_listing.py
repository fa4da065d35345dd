"""Names of MCP tools, and which of them may be called and how."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.schemas.tools.mcp import McpTool
from models.tools.mcp.listing import (
    is_allowed,
    is_repeatable,
    lists_in,
    model_name,
    needs_approval,
)

READING = {"name": "look", "input_schema": {}, "annotations": {"readOnlyHint": True}}
WRITING = {"name": "add", "input_schema": {}}


def tool(**fields: Any) -> McpTool:
    return McpTool.model_validate({"type": "mcp", "server_label": "s", **fields})


def test_a_name_has_the_label_before_it() -> None:
    assert model_name("wiki", "search") == "wiki__search"


@given(st.text(max_size=200), st.text(max_size=200))
def test_every_name_is_one_of_a_function_and_of_one_tool_alone(first: str, second: str) -> None:
    names = [model_name("s", name) for name in (first, second)]

    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert (names[0] == names[1]) == (first == second)


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, {"look", "add"}),
        ([], set[str]()),
        (["add"], {"add"}),
        ({"tool_names": ["add"]}, {"add"}),
        ({"read_only": True}, {"look"}),
        ({"read_only": False}, {"add"}),
        ({"read_only": True, "tool_names": ["add"]}, set[str]()),
    ],
)
def test_allowed_tools(allowed: Any, names: set[str]) -> None:
    found = {
        one["name"] for one in (READING, WRITING) if is_allowed(tool(allowed_tools=allowed), one)
    }

    assert found == names


@pytest.mark.parametrize(
    ("approval", "names"),
    [
        (None, {"look", "add"}),
        ("always", {"look", "add"}),
        ("never", set[str]()),
        ({}, {"look", "add"}),
        ({"never": {}}, {"look", "add"}),
        ({"never": {"read_only": True}}, {"add"}),
        ({"never": {"tool_names": ["add"]}}, {"look"}),
        ({"always": {"tool_names": ["add"]}}, {"look", "add"}),
        ({"always": {"tool_names": ["add"]}, "never": {"tool_names": ["add", "look"]}}, {"add"}),
    ],
)
def test_approvals(approval: Any, names: set[str]) -> None:
    asking = tool(require_approval=approval)

    assert {one["name"] for one in (READING, WRITING) if needs_approval(asking, one)} == names


@pytest.mark.parametrize(
    ("annotations", "may_repeat"),
    [
        (None, False),
        ({}, False),
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False, "destructiveHint": False}, False),
        ({"readOnlyHint": "true"}, False),
    ],
)
def test_a_call_is_repeated_only_by_the_servers_word(
    annotations: dict[str, Any] | None, may_repeat: bool
) -> None:
    assert is_repeatable({**WRITING, "annotations": annotations}) == may_repeat


def test_the_latest_list_of_a_label_counts_and_failed_ones_do_not() -> None:
    items: list[dict[str, Any]] = [
        {"type": "mcp_list_tools", "server_label": "s", "tools": [READING]},
        {"type": "mcp_list_tools", "server_label": "s", "tools": [WRITING]},
        {"type": "mcp_list_tools", "server_label": "s", "tools": [], "error": "away"},
        {"type": "mcp_list_tools", "server_label": "t", "tools": [], "error": "away"},
        {"type": "message"},
    ]

    assert lists_in(items) == {"s": [WRITING]}
