"""Known but unsupported fields: found by their path, whatever else the body holds."""

from typing import Any

import pytest

from models.schemas.request.unsupported import UNSERVED_TOOLS, find_unserved_tool


@pytest.mark.parametrize("kind", UNSERVED_TOOLS)
def test_a_tool_is_found(kind: str) -> None:
    tools = [{"type": "function", "name": "f"}, {"type": kind}]

    assert find_unserved_tool({"tools": tools}) == "tools[1].type"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "a", "tools": None},
        {"input": [1, {}, {"type": None}, {"type": []}, {"type": "message"}]},
        {"tools": {"type": "mcp"}},
        {"tools": [[], {"type": "function"}]},
    ],
)
def test_what_is_served_or_no_such_thing_is_left_to_others(body: dict[str, Any]) -> None:
    assert find_unserved_tool(body) is None
