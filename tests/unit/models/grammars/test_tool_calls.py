"""Grammars of output with tool calls, optional or required."""

# The full-width characters are those of the tokens.
# ruff: noqa: RUF001

import json
import re
from typing import Any

import pytest

from models.grammars.arguments import arguments_schema
from models.grammars.calls.tool_calls import tool_grammar
from models.profile.formats.table import CALL_FORMATS, GENERIC
from models.profile.thinking import HARMONY_TAGS
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from models.tools.model_function import ModelFunction
from tests.unit.models.grammars.test_compile import accepts
from worker.parsing.segments import Kind
from worker.parsing.turns import TurnFormat

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOLS = [{"type": "function", "name": name, "parameters": SCHEMA} for name in ("f", "g")]
CALLS = {
    "harmony": '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": "b"}',
    "dsml": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n'
    '<｜DSML｜parameter name="a" string="true">b</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    "dsml_v4": '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="f">\n'
    '<｜DSML｜parameter name="a" string="true">b</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
    "kimi_k3": '<|open|>tools<|sep|><|open|>call tool="f" index="1"<|sep|>'
    '<|open|>argument key="a" type="string"<|sep|>b<|close|>argument<|sep|>'
    "<|close|>call<|sep|><|close|>tools<|sep|>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
    '<|tool_call_argument_begin|>{"a": "b"}<|tool_call_end|><|tool_calls_section_end|>',
    "deepseek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
    '{"a": "b"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "deepseek_v31": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>"
    '{"a": "b"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "command": '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {"a": "b"}}]'
    "<|END_ACTION|>",
    "gemma_4": '<|tool_call>call:f{a:<|"|>b<|"|>}<tool_call|>',
    "function_gemma": "<start_function_call>call:f{a:<escape>b<escape>}<end_function_call>",
    "phi": '<|tool_call|>[{"name": "f", "arguments": {"a": "b"}}]<|/tool_call|>',
    "granite": '<|tool_call|>[{"name": "f", "arguments": {"a": "b"}}]',
    "lfm": '<|tool_call_start|>[f(a="b")]<|tool_call_end|>',
    "apertus": '<|tools_prefix|>[{"f": {"a": "b"}}]<|tools_suffix|>',
    "internlm": '<|action_start|><|plugin|>\n{"name": "f", "parameters": {"a": "b"}}<|action_end|>',
    "minimax": '<minimax:tool_call>\n<invoke name="f">\n<parameter name="a">b</parameter>\n'
    "</invoke>\n</minimax:tool_call>",
    "seed": "<seed:tool_call>\n<function=f>\n<parameter=a>b</parameter>\n</function>\n"
    "</seed:tool_call>",
    "longcat": '<longcat_tool_call>\n{"name": "f", "arguments": {"a": "b"}}\n</longcat_tool_call>',
    "glm": "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>b</arg_value>\n</tool_call>",
    "qwen_coder": "<tool_call>\n<function=f>\n<parameter=a>\nb\n</parameter>\n</function>\n"
    "</tool_call>",
    "mistral_args": '[TOOL_CALLS]f[ARGS]{"a": "b"}',
    "mistral": '[TOOL_CALLS][{"name": "f", "arguments": {"a": "b"}}]',
    "hermes": '<tool_call>\n{"name": "f", "arguments": {"a": "b"}}\n</tool_call>',
    "nemotron": '<TOOLCALL>[{"name": "f", "arguments": {"a": "b"}}]</TOOLCALL>',
    "tool_calls": '<tool_calls>[{"name": "f", "arguments": {"a": "b"}}]</tool_calls>',
    "olmo": '<function_calls>f(a="b")</function_calls>',
    "tool_code": '```tool_code\nf(a="b")\n```',
    "llama": '{"name": "f", "parameters": {"a": "b"}}',
    "llama_python": '[f(a="b")]',
}
"""A call of `f` in each style."""
ANSWERS = {"harmony": "<|channel|>final<|message|>Hi <there> {}."}


def grammar_for(style: str = "hermes", body: str | None = None, **fields: Any) -> str:
    parameters = GenerationParameters.model_validate({"tools": TOOLS, **fields})
    return tool_grammar(call_rule(parameters), CALL_FORMATS[style], body=body)


def of_other(style: str, name: str) -> str:
    """Return the call of another function in some style."""
    other = re.sub(r"(?<![a-z])f(?![a-z])", name, CALLS[style])
    assert other != CALLS[style]
    return other


@pytest.mark.parametrize("style", CALL_FORMATS)
def test_a_call_that_is_required_is_all_there_is(style: str) -> None:
    grammar, call = grammar_for(style, tool_choice="required"), CALLS[style]

    assert accepts(grammar, call)
    assert accepts(grammar, of_other(style, "g"))
    for other in ("Hi.", f"Hi. {call}", of_other(style, "h"), ANSWERS.get(style, "Hi.")):
        assert not accepts(grammar, other), other


@pytest.mark.parametrize("style", CALL_FORMATS)
def test_where_calls_are_free_to_come_they_are_held_to_their_schema(style: str) -> None:
    grammar, call = grammar_for(style), CALLS[style]

    assert accepts(grammar, ANSWERS.get(style, "Hi <there> {}."))
    assert accepts(grammar, call)
    assert not accepts(grammar, of_other(style, "h"))
    if '"b"' in call:
        assert not accepts(grammar, call.replace('"b"', "1"))
    if CALL_FORMATS[style].opener and style != "harmony":
        assert accepts(grammar, f"Hi.\n{call}")


@pytest.mark.parametrize("style", CALL_FORMATS)
def test_what_the_grammar_allows_is_read_as_a_call(style: str) -> None:
    parser = TurnFormat(
        think_tags=HARMONY_TAGS if style == "harmony" else None,
        call_format=CALL_FORMATS[style],
        functions=frozenset({"f"}),
    ).parser(opens_reasoning=False)

    segments = [*parser.add(CALLS[style]), *parser.flush()]

    assert [part.name for part in segments if part.kind is Kind.CALL_BEGIN] == ["f"]
    arguments = [part for part in segments if part.kind is Kind.ARGUMENTS]
    texts = [part.text if part.json is None else part.json for part in arguments]
    assert json.loads("".join(texts)) == {"a": "b"}


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
