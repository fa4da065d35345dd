"""Arguments in the notations of models: what a schema allows, and what it does not."""

from typing import Any

import pytest

from models.grammars.calls.argument_types import is_exact
from models.grammars.calls.tool_calls import tool_grammar
from models.profile.formats.table import CALL_FORMATS
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from tests.unit.models.grammars.test_compile import accepts

_PROPERTIES: dict[str, Any] = {
    "place": {"type": "string", "description": "Where."},
    "days": {"type": "integer", "maximum": 7},
    "unit": {"type": "string", "enum": ["c", "f"]},
    "exact": {"type": "boolean"},
    "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": _PROPERTIES,
    "required": ["place", "tags"],
    "$defs": {"tag": {"enum": ["x", "y"]}},
}
_QWEN = "<parameter={0}>\n{1}\n</parameter>\n"
_GLM = "<arg_key>{0}</arg_key>\n<arg_value>{1}</arg_value>\n"
_K3 = '<|open|>argument key="{0}" type="{2}"<|sep|>{1}<|close|>argument<|sep|>'
_TYPES = {"place": "string", "unit": "string", "days": "number", "exact": "boolean"}


def call(style: str, **arguments: str) -> str:
    """Return a call of `f` whose arguments are written as given."""
    pairs = arguments.items()
    match style:
        case "qwen_coder":
            inner = "".join(_QWEN.format(*pair) for pair in pairs)
            return f"<tool_call>\n<function=f>\n{inner}</function>\n</tool_call>"
        case "glm":
            return f"<tool_call>f\n{''.join(_GLM.format(*pair) for pair in pairs)}</tool_call>"
        case "kimi_k3":
            inner = "".join(
                _K3.format(name, text, _TYPES.get(name, "array")) for name, text in pairs
            )
            section = f'<|open|>call tool="f" index="1"<|sep|>{inner}<|close|>call<|sep|>'
            return f"<|open|>tools<|sep|>{section}<|close|>tools<|sep|>"
        case "gemma_4":
            inner = ",".join(f"{name}:{text}" for name, text in pairs)
            return f"<|tool_call>call:f{{{inner}}}<tool_call|>"
        case _:
            return f"[f({', '.join(f'{name}={text}' for name, text in pairs)})]"


def quoted(style: str, text: str) -> str:
    marks = {"gemma_4": '<|"|>', "llama_python": '"'}
    return marks.get(style, "") + text + marks.get(style, "")


def grammar_for(style: str, parameters: dict[str, Any], *, strict: bool = False) -> str:
    tool = {"type": "function", "name": "f", "parameters": parameters, "strict": strict}
    fields = {"tools": [tool], "tool_choice": "required"}
    rule = call_rule(GenerationParameters.model_validate(fields))
    return tool_grammar(rule, CALL_FORMATS[style])


@pytest.mark.parametrize("style", ["qwen_coder", "glm", "kimi_k3", "gemma_4", "llama_python"])
def test_arguments_are_held_to_their_schema(style: str) -> None:
    grammar = grammar_for(style, SCHEMA)
    place, unit = quoted(style, "Oslo <b>"), quoted(style, "c")
    true = "True" if style == "llama_python" else "true"
    least = {"place": place, "tags": '["x", "y"]'}
    most = {"place": place, "days": "7", "unit": unit, "exact": true, "tags": "[]"}

    assert accepts(grammar, call(style, **least))
    assert accepts(grammar, call(style, **most))
    for wrong in (
        {"place": place},
        least | {"tags": '["z"]'},
        {"place": place, "days": "8", "tags": "[]"},
        {"place": place, "unit": quoted(style, "k"), "tags": "[]"},
        {"place": place, "exact": "1", "tags": "[]"},
        least | {"more": "1"},
    ):
        assert not accepts(grammar, call(style, **wrong)), wrong


@pytest.mark.parametrize("style", ["qwen_coder", "glm", "kimi_k3", "gemma_4", "llama_python"])
def test_without_parameters_there_are_no_arguments(style: str) -> None:
    grammar = grammar_for(style, {"type": "object", "properties": {}})

    assert accepts(grammar, call(style))
    assert not accepts(grammar, call(style, place=quoted(style, "Oslo")))


@pytest.mark.parametrize("style", ["qwen_coder", "glm", "gemma_4", "llama_python"])
def test_where_any_object_will_do_any_names_will(style: str) -> None:
    grammar = grammar_for(style, {"type": "object"})

    assert accepts(grammar, call(style))
    assert accepts(grammar, call(style, a="1", b="[2]"))


@pytest.mark.parametrize(
    ("schema", "is_expressible"),
    [
        ({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}, True),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, True),
        ({"properties": {"a": {"type": "string", "maxLength": 3}}}, False),
        ({"properties": {"a": {"type": ["string", "null"]}}}, True),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, True),
        ({"properties": {"a": {"anyOf": [{"pattern": "x"}, {"type": "null"}]}}}, False),
        ({"properties": {"a": {}}}, True),
        ({"properties": {"a": {"enum": 1}}}, False),
        ({"properties": 1}, False),
        ({"properties": {}, "anyOf": [{"required": []}]}, False),
    ],
)
def test_it_is_known_which_schemas_a_notation_expresses(
    schema: dict[str, Any], is_expressible: bool
) -> None:
    schema = {"type": "object", **schema}

    assert is_exact(schema, CALL_FORMATS["qwen_coder"].arguments) is is_expressible
    assert is_exact(schema, CALL_FORMATS["hermes"].arguments)


def test_texts_within_lists_and_objects_have_the_quotation_marks_of_the_notation() -> None:
    tags = {"type": "array", "items": {"type": "string"}}
    at = {
        "type": "object",
        "properties": {"tags": tags, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"}},
        "required": ["tags"],
    }
    few = {"type": "array", "items": {"type": "string"}, "maxItems": 1}
    grammar = grammar_for("gemma_4", {"type": "object", "properties": {"at": at, "few": few}})

    for written in (
        '{tags:[<|"|>x "y"\n<|"|>,<|"|>z<|"|>]}',
        '{tags:[],unit:<|"|>f<|"|>,days:2}',
        '{tags:[<|"|>x<|"|>],days:2}',
    ):
        assert accepts(grammar, call("gemma_4", at=written)), written
    for written in ('{tags:["x"]}', "{tags:[1]}", "{days:2}", '{tags:[],unit:<|"|>k<|"|>}'):
        assert not accepts(grammar, call("gemma_4", at=written)), written
    assert accepts(grammar, call("gemma_4", few='["x"]'))
    assert not accepts(grammar, call("gemma_4", few='["x","y"]'))
