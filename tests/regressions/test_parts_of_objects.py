"""Objects are put together before they are closed, and have no dead ends (findings D5 to D8)."""

import json
from typing import Any

import pytest

from models.errors import InvalidRequestError
from models.grammars.arguments import arguments_schema
from models.grammars.compile import grammar_of
from models.grammars.json_schema.property_names import matching_names
from models.schemas.request.create_response import CreateResponse
from models.tools.model_function import ModelFunction
from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import (
    arguments_of,
    case,
    completed,
    function,
    schema_format,
    text_of,
)
from tests.unit.models.grammars.test_compile import accepts, grammar_from

ONE = {"const": 1}
CLOSED = {"properties": {"a": {}}, "additionalProperties": False}
NAMED = {"type": "json_schema", "name": "s"}
EITHER = {"properties": {"a": ONE, "b": ONE}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
BASE = {"$defs": {"base": {"properties": {"id": ONE}, "required": ["id"]}}}


def requiring(name: str, **fields: Any) -> dict[str, Any]:
    return {"properties": {name: ONE}, "required": [name], **fields}


def test_names_that_are_taken_are_no_dead_end(server: AntiphonServer) -> None:
    body = case("pattern_properties_dead_end")

    for seed in range(4):
        answer = json.loads(text_of(completed(server, body | {"seed": seed})))
        assert answer.keys() == {"rank"}
        assert answer["rank"] in range(6)


@pytest.mark.parametrize("strict", [True, False])
def test_what_all_of_asks_for_is_in_the_arguments(server: AntiphonServer, strict: bool) -> None:
    body = case("tool_schema_allof")
    body["tools"][0]["strict"] = strict

    [arguments] = arguments_of(completed(server, body))

    assert arguments.keys() == {"kind", "size"}
    assert arguments["size"] in range(1, 10)


def test_what_is_not_served_leaves_the_rest_enforced(server: AntiphonServer) -> None:
    [arguments] = arguments_of(completed(server, case("unserved_keyword_in_tool")))

    assert arguments.keys() == {"n", "tags"}
    assert arguments["n"] in (1, 2, 3)
    assert set(arguments["tags"]) <= {"x", "y"}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"const": 1, "format": "path"}}},
        *(
            pytest.param(schema, marks=pytest.mark.nightly)
            for schema in (
                {"properties": {"a": ONE, "b": {"type": "integer", "not": ONE}}},
                {"properties": {"a": {"oneOf": [ONE, {"const": 1, "title": "x"}]}}},
                {"properties": {"a": ONE}, "if": {"required": ["a"]}, "then": {"required": ["b"]}},
                {"properties": {"a": ONE, "b": {"const": 2**60}}},
                {"properties": {"a": ONE, "b": {"pattern": "(?=x)"}}},
                {"properties": {"a": ONE, "b": {"$ref": "https://example.org/schema"}}},
            )
        ),
    ],
    ids=["format", "not", "oneOf", "if", "number", "pattern", "reference"],
)
def test_one_keyword_does_not_free_the_others(
    server: AntiphonServer, schema: dict[str, Any]
) -> None:
    body = {"input": "go", "temperature": 0, "max_output_tokens": 100}
    parameters = {"type": "object", "required": ["a"], **schema}

    [arguments] = arguments_of(completed(server, body | function(parameters)))

    assert arguments["a"] == 1


def test_properties_that_nobody_asked_for_are_not_added(server: AntiphonServer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": ONE}}}}
    body = {"input": "Write a large JSON object.", "max_output_tokens": 60}

    answer = json.loads(text_of(completed(server, body | schema_format(schema))))

    assert answer in ({}, {"a": {}}, {"a": {"b": 1}})


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (requiring("a", allOf=[requiring("b")]), ["ab"], ["a", "b", "abc"]),
        ({"allOf": [requiring("a"), requiring("b")]}, ["ab"], ["a", "abc"]),
        ({**BASE, "allOf": [{"$ref": "#/$defs/base"}, requiring("b")]}, [], ["b"]),
        ({"allOf": [{"allOf": [requiring("a")]}, {"allOf": [requiring("b")]}]}, ["ab"], ["a"]),
        (requiring("a", anyOf=[requiring("b"), requiring("c")]), ["ab", "ac"], ["a", "abc"]),
        (requiring("a", anyOf=[{"required": ["a"]}]), ["a"], ["ab"]),
        (requiring("a", allOf=[requiring("b", additionalProperties=True)]), ["ab", "abc"], ["a"]),
        (requiring("a", allOf=[CLOSED]), ["a"], ["ab"]),
        (EITHER, ["a", "b", "ab"], [""]),
        (requiring("a"), ["a"], ["ab"]),
        ({"properties": {"a": ONE}, "required": ["a", "b"]}, ["ab"], ["a", "abc"]),
        (requiring("a", allOf=[{"required": ["b"]}]), ["ab"], ["a", "abc"]),
        ({"patternProperties": {"^x": ONE}, "required": ["b"]}, ["bx"], ["x", "bc"]),
        (requiring("a", additionalProperties=True), ["a", "ab"], [""]),
        (requiring("a", additionalProperties={"const": 2}), ["a"], ["ab"]),
        ({"properties": {}}, [""], ["a"]),
        ({}, ["", "a"], []),
    ],
)
def test_an_object_is_closed_when_all_its_parts_are_known(
    schema: dict[str, Any], valid: list[str], invalid: list[str]
) -> None:
    grammar = grammar_from({"type": "object", **schema})

    assert [names for names in valid if not accepts(grammar, with_names(names))] == []
    assert [names for names in invalid if accepts(grammar, with_names(names))] == []


def with_names(names: str) -> str:
    return json.dumps(dict.fromkeys(names, 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": {"format": {**NAMED, "schema": requiring("a")}}},
        {"text": {"format": {**NAMED, "schema": requiring("a"), "strict": True}}},
        {"response_format": {**NAMED, "schema": requiring("a")}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": requiring("a")},
            }
        },
        {"grammar": {"type": "json_schema", "value": requiring("a")}},
        {"grammar": {"type": "json_schema", "value": json.dumps(requiring("a"))}},
        {
            "grammar": {
                "type": "llguidance",
                "value": {"grammars": [{"json_schema": requiring("a")}]},
            }
        },
        {"grammar": {"type": "lark", "value": f"start: %json {json.dumps(requiring('a'))}"}},
    ],
)
def test_every_way_to_give_a_schema_has_one_rule(fields: dict[str, Any]) -> None:
    request = CreateResponse.model_validate({"input": "go", **fields})
    grammar = grammar_of(request.parameters(), param=request.grammar_param)

    assert grammar is not None
    assert accepts(grammar, with_names("a"))
    assert not accepts(grammar, with_names("ab"))


def test_functions_and_formats_have_one_rule() -> None:
    schema = {"type": "object", **requiring("a", allOf=[requiring("b")])}

    for strict in (True, False):
        enforced = arguments_schema(ModelFunction(name="f", parameters=schema, strict=strict))
        assert grammar_from(enforced) == grammar_from(schema)


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"patternProperties": {"^[ab]$": ONE}}, ["", "a", "ab"], ["c", "ac"]),
        (requiring("a", patternProperties={"^(a|b)?$": {}}), ["a", "ab"], ["b"]),
        (requiring("a", patternProperties={"^b{2}$": ONE}), ["a"], ["b", "ab"]),
        ({"patternProperties": {"^[a-c]$": ONE}, "additionalProperties": True}, ["abcd"], []),
    ],
)
def test_few_names_of_a_pattern_are_properties(
    schema: dict[str, Any], valid: list[str], invalid: list[str]
) -> None:
    grammar = grammar_from({"type": "object", **schema})

    assert [names for names in valid if not accepts(grammar, with_names(names))] == []
    assert [names for names in invalid if accepts(grammar, with_names(names))] == []
    assert not accepts(grammar, '{"a": 1, "a": 1}')


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("^rank$", ["rank"]),
        ("^(a|bc)$", ["a", "bc"]),
        ("^x?[0-2]$", ["0", "1", "2", "x0", "x1", "x2"]),
        ("^(?<y>a)b$", ["ab"]),
        ("^[a&&]$", ["a", "&"]),
        ("^[[]$", ["["]),
        ("^a", None),
        ("a$", None),
        ("^a*$", None),
        ("^[^a]$", None),
        ("^[a-z]{3}$", None),
        (r"^\d$", None),
        (r"^\p{L}$", None),
    ],
)
def test_names_that_match_are_few_or_unknown(pattern: str, names: list[str] | None) -> None:
    assert matching_names(pattern) == names


@pytest.mark.parametrize(
    "branches",
    [
        [requiring("a"), requiring("b")],
        [{"properties": {"a": ONE}}, {"properties": {"b": ONE}}],
        [requiring("a"), {"type": "object", **requiring("a")}],
    ],
)
def test_closing_does_not_hide_that_branches_overlap(branches: list[dict[str, Any]]) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"\$\.oneOf: its branches may overlap: use anyOf"
    ):
        grammar_from({"oneOf": branches})


@pytest.mark.parametrize("by_reference", [True, False])
def test_branches_with_a_constant_of_their_own_are_one_or_the_other(by_reference: bool) -> None:
    kinds = {
        kind: {
            "type": "object",
            "properties": {"k": {"const": kind}, kind: ONE},
            "required": ["k"],
        }
        for kind in "ab"
    }
    branches = (
        [{"$ref": f"#/$defs/{kind}"} for kind in kinds] if by_reference else [*kinds.values()]
    )
    grammar = grammar_from({"$defs": kinds, "oneOf": branches})

    assert accepts(grammar, '{"k": "a", "a": 1}')
    assert accepts(grammar, '{"k": "b"}')
    assert not accepts(grammar, '{"k": "a", "b": 1}')


def test_parts_that_multiply_are_refused() -> None:
    definitions = {
        f"a{n}": {"properties": {f"p{n}": {}}, "anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2}
        for n in range(20)
    }
    schema = {"$defs": {**definitions, "a20": {"properties": {}}}, "$ref": "#/$defs/a0"}

    with pytest.raises(InvalidRequestError, match="its parts combine"):
        grammar_from(schema)
