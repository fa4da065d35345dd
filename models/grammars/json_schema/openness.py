"""Objects are closed unless their schema opens them: only named properties are generated."""

from models.grammars.json_schema.nodes import Node
from models.grammars.json_schema.property_names import matches

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
    return {**node, **_with_required(node), "additionalProperties": False}


def _with_required(node: Node) -> Node:
    """Return `properties` with those added that are only required: they may have any value."""
    properties, patterns = node.get("properties", {}), node.get("patternProperties", ())
    added: Node = {
        name: {}
        for name in node.get("required", ())
        if name not in properties and not any(matches(pattern, name) for pattern in patterns)
    }
    return {"properties": {**properties, **added}} if added else {}
