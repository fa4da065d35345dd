"""Choices of MCP tools, which can be followed once their servers have listed them."""

from typing import Any

import pytest

from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import find_missing_tool

MCP = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example"}
CHOICE = {"type": "mcp", "server_label": "files", "name": "read"}


def parameters(**fields: Any) -> GenerationParameters:
    return GenerationParameters.model_validate({"tools": [MCP], "tool_choice": CHOICE, **fields})


@pytest.mark.parametrize("name", ["read", "write"])
def test_a_tool_that_must_be_called_has_to_be_listed(name: str) -> None:
    given = parameters()
    given.add_mcp_lists({"files": [{"name": name, "input_schema": {}}]})

    assert (find_missing_tool(given) is None) == (name == "read")


@pytest.mark.parametrize("choice", [CHOICE, "required"])
def test_a_warm_up_asks_no_server_and_misses_no_tool(choice: Any) -> None:
    assert find_missing_tool(parameters(tool_choice=choice)) is not None
    assert find_missing_tool(parameters(tool_choice=choice, generate=False)) is None
