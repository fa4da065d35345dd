"""Traversal of the subschemas of a JSON schema."""

from collections.abc import Callable
from typing import Any

Node = dict[str, Any]
Visit = Callable[[Node, str], Node]
"""Function that rewrites one schema, without its subschemas, given with its JSON path."""

DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose values are data and not schemas."""
NAMED = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
"""Keywords whose values are schemas by name."""


def map_nodes(node: Node, visit: Visit, path: str = "$") -> Node:
    """Return a schema with `visit` applied to it and to all schemas in it, outer ones first.

    A reference may point anywhere, so whatever an unknown keyword holds is visited as well.
    """
    return {
        name: _map_value(name, value, visit, f"{path}.{name}")
        for name, value in visit(node, path).items()
    }


def _map_value(name: str, value: Any, visit: Visit, path: str) -> Any:
    if name in DATA:
        return value
    if isinstance(value, list):
        return [_map_inner(inner, visit, f"{path}[{at}]") for at, inner in enumerate(value)]
    if isinstance(value, dict) and name in NAMED:
        return {key: _map_inner(inner, visit, f"{path}.{key}") for key, inner in value.items()}
    return _map_inner(value, visit, path)


def _map_inner(value: Any, visit: Visit, path: str) -> Any:
    return map_nodes(value, visit, path) if isinstance(value, dict) else value
