"""Tools as the model sees them: names, descriptions, what is deferred, what items bring."""

from typing import Any

import orjson
import pytest

from models.schemas.request.parameters import GenerationParameters
from models.tools.added_tools import with_added_tools
from models.tools.choice import call_rule
from models.tools.model_function import called_name
from models.tools.prompt import (
    added_tools_text,
    brought_tools,
    chat_tools,
    found_tools_text,
    tools_prompt,
)

F: dict[str, Any] = {"type": "function", "name": "f", "description": "Does f."}
NOTE: dict[str, Any] = {"type": "custom", "name": "note", "description": "Notes."}


def rule_names(tools: list[dict[str, Any]], **fields: Any) -> list[str]:
    parameters = GenerationParameters.model_validate({"tools": tools, **fields})
    return [tool.name for tool in call_rule(parameters).tools]


@pytest.mark.parametrize(
    ("namespace", "name"), [("crm", "crm__f"), ("mcp__files__", "mcp__files__f")]
)
def test_the_model_calls_a_tool_of_a_namespace_by_both_names(namespace: str, name: str) -> None:
    tools = [{"type": "namespace", "name": namespace, "tools": [F]}]

    assert rule_names(tools) == [name]
    call = {"type": "function_call", "namespace": namespace, "name": "f"}
    assert called_name(call) == name
    assert called_name({"type": "tool_search_call"}) == "tool_search"


def test_a_namespace_is_described_with_its_first_tool() -> None:
    tools = [{"type": "namespace", "name": "crm", "description": "Sales.", "tools": [F, NOTE]}]
    parameters = GenerationParameters.model_validate({"tools": tools})

    shown = chat_tools(call_rule(parameters).shown)

    assert shown == [
        {"type": "function", "function": {"name": "crm__f", "description": "Sales.\n\nDoes f."}},
        {
            "type": "custom",
            "custom": {"name": "crm__note", "description": "Notes.", "format": {"type": "text"}},
        },
    ]
    assert '{"name": <tool name>}\n<text>' in tools_prompt(shown)
    assert "<text>" not in tools_prompt(shown[:1])


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["f", "crm__f", "crm__note"]),
        ({"type": "function", "name": "f", "namespace": "crm"}, ["crm__f"]),
        ({"type": "function", "name": "f"}, ["f", "crm__f"]),
        ({"type": "custom", "name": "note"}, ["crm__note"]),
        ("none", []),
    ],
)
def test_a_choice_names_tools_by_type_name_and_namespace(choice: Any, names: list[str]) -> None:
    tools = [F, {"type": "namespace", "name": "crm", "tools": [F, NOTE]}]

    assert rule_names(tools, tool_choice=choice) == names


def test_deferred_tools_are_left_out_until_an_item_brings_them() -> None:
    deferred = [{"type": "namespace", "name": "crm", "tools": [F | {"defer_loading": True}]}, NOTE]
    parameters = GenerationParameters.model_validate({"tools": deferred})
    assert [tool.name for tool in call_rule(parameters).tools] == ["note"]

    brought = [{"type": "namespace", "name": "crm", "tools": [F]}]
    items = [{"type": "tool_search_output", "call_id": "c", "tools": brought}]
    changed = with_added_tools(parameters, items)

    assert [tool.name for tool in call_rule(changed).tools] == ["note", "crm__f"]
    assert [tool.name for tool in call_rule(changed).shown] == ["note"]
    assert changed.model_dump() == parameters.model_dump()
    assert call_rule(parameters).by_name.keys() == {"note"}


def test_what_is_brought_is_described_in_its_place() -> None:
    found = orjson.loads(found_tools_text(brought_tools({"tools": [F]})))
    added = added_tools_text(brought_tools({"tools": [F, NOTE]}), lambda text: f"<<{text}>>")

    function = {"type": "function", "function": {"name": "f", "description": "Does f."}}
    assert found == {"tools": [function]}
    assert orjson.dumps(function).decode() in added
    assert added.startswith("<<From now on")


def test_parameters_are_described_unless_the_weights_have_no_room() -> None:
    def parameters(**extra: str) -> dict[str, Any]:
        named = {"type": "string", **extra}
        items = {"anyOf": [{"type": "array", "items": named}], "default": {"description": "a"}}
        return {"type": "object", "properties": {"description": named, "b": items}, **extra}

    tools = [F | {"parameters": parameters(description="What it is.")}]

    [whole] = brought_tools({"tools": tools})
    [brief] = brought_tools({"tools": tools}, describes_parameters=False)

    assert whole["function"]["parameters"] == parameters(description="What it is.")
    assert brief["function"] == whole["function"] | {"parameters": parameters()}
