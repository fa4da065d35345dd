"""Counts of what schemas multiply where several apply to one value."""

import time
from typing import Any

import pytest

from models.grammars.json_schema.intersections import (
    MAX_COMBINATIONS,
    MAX_COMBINED,
    MAX_INTERSECTED,
    TooManyCombinedError,
    check_intersections,
)

Schema = dict[str, Any]
PATTERN: Schema = {"pattern": "a"}


def chain(count: int) -> Schema:
    """Return a schema of so many patterns, each beside the reference to the next."""
    links = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}", "pattern": f"{n}"} for n in range(count)}
    return {"$defs": {**links, f"d{count}": {}}, "$ref": "#/$defs/d0"}


def nested_branches(count: int) -> Schema:
    schema: Schema = {"type": "string"}
    for _ in range(count):
        schema = {"anyOf": [schema, {"type": "null"}], "pattern": "a"}
    return schema


def doubled(depth: int) -> Schema:
    """Return a schema in which the number of schemas doubles at every reference."""
    links = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**links, f"d{depth}": {}}, "$ref": "#/$defs/d0"}


def shared_property(count: int) -> Schema:
    return {"allOf": [{"properties": {"a": PATTERN}} for _ in range(count)]}


@pytest.mark.parametrize(
    "make",
    [
        lambda count: {"allOf": [PATTERN] * count},
        lambda count: {"allOf": [{"allOf": [PATTERN] * (count - 1)}, PATTERN]},
        lambda count: {"allOf": [{"format": "date"}] * count},
        lambda count: {"properties": {"a": {"items": {"allOf": [PATTERN] * count}}}},
        lambda count: {"allOf": [{"items": PATTERN}] * count},
        lambda count: {"allOf": [{"prefixItems": [{}, PATTERN]}] * count},
        lambda count: {"allOf": [{"additionalProperties": PATTERN}] * count},
        lambda count: {"allOf": [{"patternProperties": {"^a": {}}}] * count},
        lambda count: {"allOf": [{"anyOf": [PATTERN, {}]}, *[PATTERN] * (count - 1)]},
        lambda count: {"allOf": [{"anyOf": [PATTERN]}] * count},
        lambda count: {"allOf": [{"anyOf": [PATTERN, {}]}] * count},
        lambda count: {"oneOf": [{"allOf": [PATTERN] * (count - 1)}, {}], "anyOf": [PATTERN]},
        chain,
        nested_branches,
        shared_property,
    ],
)
def test_patterns_that_apply_to_one_string_are_limited(make: Any) -> None:
    check_intersections(make(MAX_INTERSECTED))

    with pytest.raises(TooManyCombinedError, match="more than 8 patterns apply to one string"):
        check_intersections(make(MAX_INTERSECTED + 1))


def test_patterns_that_apply_to_different_strings_are_not_counted_together() -> None:
    properties = {f"p{n}": {"pattern": f"{n}"} for n in range(100)}
    branches = [{"properties": {"kind": {"pattern": f"{n}"}}} for n in range(100)]

    check_intersections({"properties": properties, "anyOf": branches})
    check_intersections(
        {"allOf": [{"properties": {name: part}} for name, part in properties.items()]}
    )
    check_intersections({"patternProperties": {f"^{n}": {} for n in range(100)}})


def test_schemas_that_references_multiply_are_limited() -> None:
    check_intersections(doubled(6))

    with pytest.raises(TooManyCombinedError, match=f"more than {MAX_COMBINED} schemas"):
        check_intersections(doubled(30))


def test_combinations_of_branches_are_limited() -> None:
    choice: Schema = {"anyOf": [{"minLength": 1}, {"maxLength": 9}]}
    check_intersections({"allOf": [choice] * 10})

    with pytest.raises(TooManyCombinedError, match=f"more than {MAX_COMBINATIONS} combinations"):
        check_intersections({"allOf": [choice] * 11})


def test_many_branches_of_one_choice_are_no_combinations() -> None:
    check_intersections({"anyOf": [{"const": n} for n in range(5 * MAX_COMBINATIONS)]})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"allOf": [{"$ref": "#"}, {"type": "object"}]},
        {"$ref": "#/nowhere"},
        {"$ref": "http://localhost/schema"},
        {"allOf": "a", "anyOf": {}, "properties": [], "items": [True], "$ref": 1},
    ],
)
def test_schemas_that_are_recursive_or_wrong_are_left_to_the_compiler(schema: Schema) -> None:
    check_intersections(schema)


def test_a_large_schema_is_walked_in_little_time() -> None:
    parts = {f"p{n}": {"anyOf": [{"type": "string"}, {"type": "null"}]} for n in range(2000)}
    started = time.process_time()

    check_intersections({"allOf": [{"properties": parts}, {"required": list(parts)}]})

    assert time.process_time() - started < 2


def test_a_schema_of_many_parts_and_branches_is_refused_in_little_time() -> None:
    parts: Schema = {f"p{n}": {} for n in range(2000)}
    branches = [{"properties": {f"p{n}": {"minLength": n}}} for n in range(1000)]
    started = time.process_time()

    with pytest.raises(TooManyCombinedError, match="combine in more than"):
        check_intersections({"properties": parts, "anyOf": branches})

    assert time.process_time() - started < 2
