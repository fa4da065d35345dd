"""Objects are closed unless their schema opens them: only named properties are generated."""

from models.grammars.json_schema.nodes import Node

_NAMING = frozenset({"properties", "patternProperties"})
_OPENING = frozenset({"additionalProperties", "unevaluatedProperties"})
_PARTS = ("allOf", "anyOf", "oneOf")


def close_object(node: Node) -> Node:
    """Return a schema that names properties closed, if no other part of it may name some."""
    if not _NAMING & node.keys() or _OPENING & node.keys() or "$ref" in node:
        return node
    parts = [part for name in _PARTS for part in node.get(name, ()) if isinstance(part, dict)]
    if any(part.keys() & {"$ref", *_NAMING, *_PARTS, *_OPENING} for part in parts):
        return node
    return {**node, "additionalProperties": False}
