"""Proof that no value is an instance of two schemas."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import orjson

from models.grammars.json_schema.nodes import Node
from models.grammars.json_schema.references import resolve

_MAX_BRANCHES = 256


def are_disjoint(schemas: Sequence[Node], root: Node) -> bool:
    """Return True if it is proved that no value is an instance of two of the schemas."""
    if len(schemas) > _MAX_BRANCHES:
        return False
    return all(_differ(first, second, root) for first, second in combinations(schemas, 2))


def _differ(first: Node, second: Node, root: Node) -> bool:
    if _have_no_common(_types(first), _types(second)):
        return True
    if _have_no_common(_values(first), _values(second)):
        return True
    if _types(first) != {"object"} or _types(second) != {"object"}:
        return False
    return (
        _requires_what_lacks(first, second)
        or _requires_what_lacks(second, first)
        or any(
            _have_no_common(*(_values(_property(node, name, root)) for node in (first, second)))
            for name in _required(first) & _required(second)
        )
    )


def _have_no_common(first: set[Any] | None, second: set[Any] | None) -> bool:
    return first is not None and second is not None and first.isdisjoint(second)


def _types(node: Node) -> set[str] | None:
    declared = node.get("type")
    if declared is None:
        return None
    types = {declared} if isinstance(declared, str) else set(declared)
    return types | {"integer"} if "number" in types else types


def _values(node: Node) -> set[bytes] | None:
    """Return the values that a schema lists, as JSON; None if it lists none."""
    listed = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(listed, list):
        return None
    if any(isinstance(value, int | float) and not isinstance(value, bool) for value in listed):
        # 1 and 1.0 are equal.
        listed = [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in listed]
    return {orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in listed}


def _required(node: Node) -> set[str]:
    return set(node.get("required", ()))


def _property(node: Node, name: str, root: Node) -> Node:
    schema = node.get("properties", {}).get(name, {})
    return (resolve(schema, root) if isinstance(schema, dict) else None) or {}


def _requires_what_lacks(first: Node, second: Node) -> bool:
    """Return True if the first requires a property that the second, closed by itself, lacks."""
    is_closed = second.get("additionalProperties") is False and "patternProperties" not in second
    return is_closed and not _required(first) <= second.get("properties", {}).keys()
