"""JSON types that the arguments of a function may have, for notations that do not show them."""

from collections.abc import Mapping
from typing import Any

from models.grammars.json_schema.references import find
from models.profile.formats.call_format import ArgumentNotation, JsonArguments, LiteralArguments

TEXT = frozenset({"string"})
_MAX_DEPTH = 8
_SAYING_NOTHING = frozenset(
    {"type", "title", "description", "default", "examples", "example", "$comment", "deprecated"}
)
"""Keywords that a string may have without being constrained by them."""
_OF_OBJECTS = _SAYING_NOTHING | {"properties", "required", "additionalProperties"}
_OF_OBJECTS |= {"$defs", "definitions", "$schema", "$id"}
_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
_NAMES |= {dict: "object", type(None): "null"}


def argument_types(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the types of each argument, in the order of the parameters; none mean any."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: types_of(value, schema) for name, value in properties.items()}


def types_of(value: Any, root: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """Return the types that a schema allows; none if it allows any, or nobody knows which."""
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return frozenset()
    if "const" in value or "enum" in value:
        listed = value.get("enum", [value.get("const")])
        if not isinstance(listed, list):
            return frozenset()
        return frozenset(_NAMES[type(one)] for one in listed if type(one) in _NAMES)
    declared = value.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    if isinstance(declared, list):
        return frozenset(one for one in declared if isinstance(one, str))
    if "$ref" in value:
        return types_of(find(value["$ref"], dict(root)), root, depth + 1)
    for union in ("anyOf", "oneOf"):
        if isinstance(value.get(union), list):
            found = [types_of(one, root, depth + 1) for one in value[union]]
            return frozenset().union(*found) if all(found) else frozenset()
    return frozenset()


def is_free(value: Any) -> bool:
    """Return True if a schema says no more than a type."""
    return isinstance(value, dict) and not value.keys() - _SAYING_NOTHING


def has_only(value: Any, kind: str, first: str, *more: str) -> bool:
    """Return True if a schema says no more than a type of objects or lists, and these keywords.

    It must have the first of them.
    """
    if not isinstance(value, dict) or value.get("type") != kind:
        return False
    return first in value and not value.keys() - _SAYING_NOTHING - {first, *more}


def choices_of(value: Any) -> list[str] | None:
    """Return the texts that a schema lists; None if it lists none, or anything else."""
    if not isinstance(value, dict) or value.keys() - _SAYING_NOTHING - {"enum", "const"}:
        return None
    listed = value.get("enum", [value["const"]] if "const" in value else [])
    if not isinstance(listed, list) or not listed:
        return None
    return listed if all(isinstance(one, str) and one for one in listed) else None


def is_exact(schema: dict[str, Any], notation: ArgumentNotation) -> bool:
    """Return True if a notation can express exactly what a schema allows, whether or not valid."""
    if isinstance(notation, JsonArguments):
        return True
    properties = schema.get("properties", {})
    if schema.keys() - _OF_OBJECTS or not isinstance(properties, dict):
        return False
    if isinstance(notation, LiteralArguments):
        return True
    return all(_is_exact_in_tags(value, schema) for value in properties.values())


def _is_exact_in_tags(value: Any, root: dict[str, Any]) -> bool:
    """Return True if all that can stand between tags is read as what a schema allows."""
    types = types_of(value, root)
    if types and "string" not in types:
        return True  # written as JSON
    if value is True or is_free(value) or choices_of(value):
        return True
    if not isinstance(value, dict) or value.keys() - _SAYING_NOTHING - {"anyOf"}:
        return False
    branches = value.get("anyOf")
    return bool(types) and isinstance(branches, list) and all(map(is_free, branches))
