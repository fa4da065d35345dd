"""Local references of a schema (`$ref`)."""

from typing import Any
from urllib.parse import unquote

from models.grammars.json_schema.nodes import Node

_MAX_CHAIN = 64


def resolve(node: Node, root: Node) -> Node | None:
    """Return the schema that a node stands for: itself, or what its only keyword refers to.

    Returns None for references that lead elsewhere, nowhere or in a circle.
    """
    for _ in range(_MAX_CHAIN):
        if "$ref" not in node:
            return node
        if len(node.keys() - {"title", "description", "$comment"}) > 1:
            return None
        found = find(node["$ref"], root)
        if found is None:
            return None
        node = found
    return None


def find(reference: Any, root: Node) -> Node | None:
    """Return the schema at a JSON pointer such as `#/$defs/a`; None if there is none."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    value: Any = root
    for part in unquote(reference[1:]).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if isinstance(value, dict) else None
    is_pointer = reference == "#" or reference.startswith("#/")
    return value if is_pointer and isinstance(value, dict) else None
