"""Grammars of output with tool calls, optional or required."""

from typing import Any

import pytest

from models.grammars.arguments import arguments_schema
from models.grammars.tool_calls import tool_grammar
from models.profile.call_format import CALL_FORMATS, GENERIC, CallStyle
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from models.tools.model_function import ModelFunction
from tests.unit.models.grammars.test_compile import accepts

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOLS = [{"type": "function", "name": name, "parameters": SCHEMA} for name in ("f", "g")]
CALLS = {
    "hermes": '<tool_call>\n{"name": "f", "arguments": {"a": "b"}}\n</tool_call>',
    "llama": '{"name": "f", "parameters": {"a": "b"}}',
    "mistral": '[TOOL_CALLS][{"name": "f", "arguments": {"a": "b"}}]',
}


def grammar_for(style: CallStyle = "hermes", body: str | None = None, **fields: Any) -> str:
    parameters = GenerationParameters.model_validate({"tools": TOOLS, **fields})
    return tool_grammar(call_rule(parameters), CALL_FORMATS[style], body=body)


@pytest.mark.parametrize("style", CALL_FORMATS)
def test_a_call_that_is_required_is_all_there_is(style: CallStyle) -> None:
    grammar, call = grammar_for(style, tool_choice="required"), CALLS[style]

    assert accepts(grammar, call)
    assert accepts(grammar, call.replace('"f"', '"g"'))
    for other in ("Hi.", f"Hi. {call}", call.replace('"f"', '"h"'), call.replace('"b"', "1")):
        assert not accepts(grammar, other), other


@pytest.mark.parametrize("style", CALL_FORMATS)
def test_where_calls_are_free_to_come_they_are_held_to_their_schema(style: CallStyle) -> None:
    grammar, call = grammar_for(style), CALLS[style]

    assert accepts(grammar, "Hi <there> {}.")
    assert accepts(grammar, call)
    assert not accepts(grammar, call.replace('"f"', '"h"'))
    assert not accepts(grammar, call.replace('"b"', "1"))
    if style != "llama":
        assert accepts(grammar, f"Hi.\n{call}")


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"parallel_tool_calls": False}, 1),
        ({"max_tool_calls": 2}, 2),
        ({"max_tool_calls": 2, "parallel_tool_calls": False}, 1),
        ({"tool_choice": {"type": "function", "name": "f"}}, 1),
    ],
)
def test_calls_have_a_limit(fields: dict[str, Any], most: int) -> None:
    grammar = grammar_for(**fields)

    for count in (1, 2, 3):
        assert accepts(grammar, "\n".join([CALLS["hermes"]] * count)) is (count <= most)


def test_one_that_is_named_is_the_one() -> None:
    grammar = grammar_for(tool_choice={"type": "function", "name": "g"})

    assert accepts(grammar, CALLS["hermes"].replace('"f"', '"g"'))
    assert not accepts(grammar, CALLS["hermes"])


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_only_what_is_allowed_can_be_called(mode: str) -> None:
    allowed = [{"type": "function", "name": "g"}]
    choice = {"type": "allowed_tools", "mode": mode, "tools": allowed}
    grammar = grammar_for(tool_choice=choice)

    assert not accepts(grammar, CALLS["hermes"])
    assert accepts(grammar, CALLS["hermes"].replace('"f"', '"g"'))
    assert accepts(grammar, "Hi.") is (mode == "auto")


def test_without_a_choice_of_tools_nothing_can_be_called() -> None:
    parameters = GenerationParameters.model_validate({"tools": TOOLS, "tool_choice": "none"})

    assert call_rule(parameters).tools == ()
    assert call_rule(parameters).shown == ()


def test_a_call_may_come_in_the_place_of_what_a_format_asks_for() -> None:
    grammar = grammar_for(body='{"grammars":[{"lark_grammar":"start: \\"yes\\""}]}')

    assert accepts(grammar, "yes")
    assert accepts(grammar, CALLS["hermes"])
    assert not accepts(grammar, "no")


@pytest.mark.parametrize("schema", [{"type": "object", "if": {}}, {"type": "array"}, {"not": {}}])
def test_a_schema_that_cannot_be_enforced_gives_way_to_any_object(schema: dict[str, Any]) -> None:
    enforced = arguments_schema(ModelFunction(name="f", parameters=schema))
    strict = arguments_schema(ModelFunction(name="f", parameters=schema, strict=True))

    assert enforced.keys() == {"type"}
    assert strict.keys() >= schema.keys()


@pytest.mark.parametrize(
    "tool", [{}, {"parameters": None}, {"parameters": {}}, {"strict": True, "parameters": None}]
)
def test_without_parameters_the_arguments_are_an_empty_object(tool: dict[str, Any]) -> None:
    parameters = GenerationParameters.model_validate(
        {"tools": [{"type": "function", "name": "f", **tool}], "tool_choice": "required"}
    )
    grammar = tool_grammar(call_rule(parameters), GENERIC)

    assert accepts(grammar, CALLS["hermes"].replace('{"a": "b"}', "{}"))
    assert not accepts(grammar, CALLS["hermes"])
