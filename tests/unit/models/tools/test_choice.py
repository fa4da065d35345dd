"""The rule of a request's tool calls is computed once, and again for a copy that differs."""

from typing import Any

import pytest

from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from models.tools.model_function import read_tools


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}}


def request(**fields: Any) -> GenerationParameters:
    return GenerationParameters.model_validate({"tools": [function("a"), function("b")], **fields})


def test_a_rule_is_computed_once() -> None:
    parameters = request()

    assert call_rule(parameters) is call_rule(parameters)
    assert call_rule(parameters.model_copy()) is call_rule(parameters)


def test_requests_are_equal_whatever_has_been_computed() -> None:
    parameters = request()

    call_rule(parameters)

    assert parameters == request()


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": [function("c")]},
        {"tools": []},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "name": "b"}},
        {"parallel_tool_calls": False},
        {"max_tool_calls": 2},
    ],
)
def test_a_copy_with_other_fields_has_a_rule_of_its_own(changes: dict[str, Any]) -> None:
    parameters, other = request(), request(**changes)
    before = call_rule(parameters)

    changed = parameters.model_copy(update={name: getattr(other, name) for name in changes})

    assert call_rule(changed) == call_rule(other) != before
    assert call_rule(parameters) == before


def test_tools_that_an_item_brings_change_the_rule() -> None:
    parameters = request()
    assert list(call_rule(parameters).by_name) == ["a", "b"]

    parameters.add_tools(read_tools([function("c")]))

    assert list(call_rule(parameters).by_name) == ["a", "b", "c"]


def test_tools_that_a_server_lists_change_the_rule() -> None:
    server = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example"}
    parameters = request(tools=[server])
    assert not call_rule(parameters).by_name

    parameters.add_mcp_lists({"files": [{"name": "read", "input_schema": {"type": "object"}}]})

    assert len(call_rule(parameters).by_name) == 1
