"""Merging of the parts of an object's schema (`allOf`, `anyOf`, `oneOf`) before it is closed.

An object is closed by `additionalProperties: false` in its own schema. That would forbid what its
other parts name, so these are merged into one schema, or into one for each alternative.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from models.grammars.json_schema.disjoint import are_disjoint
from models.grammars.json_schema.errors import Findings
from models.grammars.json_schema.nodes import Node
from models.grammars.json_schema.references import find, resolve

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "$comment", "example", "examples", "deprecated"}
    | {"readOnly", "writeOnly", "discriminator", "xml", "externalDocs", "$schema", "$id", "$anchor"}
)
_DEFINITIONS = ("$defs", "definitions")
_OPENING = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
_PATTERNED = frozenset({"patternProperties", "unevaluatedProperties"})
_ADDITIONAL = "additionalProperties"
_NAMING = frozenset({"properties", "patternProperties"})
_OBJECT = frozenset({"properties", "required"})
_MERGED = frozenset({"properties", _ADDITIONAL})
_MAX_PARTS = 64


class _UnmergeableError(Exception):
    """The parts of an object cannot be merged; they stay as they are."""


def merge_parts(node: Node, root: Node, path: str, findings: Findings) -> Node:
    """Return a schema of objects in which no part but the schema itself names properties."""
    try:
        node = _merge_all_of(node, root, findings)
        node = _check_one_of(node, root, path, findings)
        return _distribute(node, root, findings)
    except _UnmergeableError:
        return _keep_open(node)


def _merge_all_of(node: Node, root: Node, findings: Findings) -> Node:
    if not isinstance(node.get("allOf"), list) and not ("$ref" in node and _OBJECT & node.keys()):
        return node
    parts = _parts(node, root, ())
    if not any(_OBJECT & part.keys() for part in parts):
        return node
    return _merge(parts, findings)


def _keep_open(node: Node) -> Node:
    """Return the node with its parts open: each of them would be closed to the others' names."""
    opened = dict(node)
    for name in ("allOf", "anyOf", "oneOf"):
        if isinstance(node.get(name), list):
            opened[name] = [_open(part) for part in node[name]]
    return opened


def _open(part: Any) -> Any:
    if not isinstance(part, dict) or not _NAMING & part.keys() or _ADDITIONAL in part:
        return part
    return {**part, _ADDITIONAL: True}


def _parts(node: Node, root: Node, references: tuple[str, ...]) -> list[Node]:
    """Return the conjuncts of a schema, its own keywords first."""
    parts = [{name: value for name, value in node.items() if name not in ("allOf", "$ref")}]
    others = list(node.get("allOf", ()))
    if "$ref" in node:
        reference = node["$ref"]
        found = find(reference, root)
        if found is None or reference in references:
            raise _UnmergeableError
        parts += _parts(found, root, (*references, reference))
    for other in others:
        if not isinstance(other, dict):
            raise _UnmergeableError
        parts += _parts(other, root, references)
    if len(parts) > _MAX_PARTS:
        raise _UnmergeableError
    return parts


def _merge(parts: Sequence[Node], findings: Findings) -> Node:
    """Return one schema for the conjunction of several."""
    if sum(bool(part.keys() & {"anyOf", "oneOf"}) for part in parts) > 1:
        raise _UnmergeableError
    named = [part for part in parts if (_OBJECT | _OPENING) & part.keys()]
    if len(named) > 1 and any(_PATTERNED & part.keys() for part in named):
        raise _UnmergeableError
    merged: Node = {}
    conflicts: list[Node] = []
    for part in parts:
        for name, value in part.items():
            if name not in merged:
                merged[name] = value
            elif name == "required":
                merged[name] = [*merged[name], *(key for key in value if key not in merged[name])]
            elif name not in _ANNOTATIONS | _MERGED and merged[name] != value:
                conflicts.append({name: value})
    if len(named) > 1:
        merged |= _merge_names(named)
    findings.count_merged(len(orjson.dumps(merged)))
    return {**merged, "allOf": conflicts} if conflicts else merged


def _merge_names(parts: Sequence[Node]) -> Node:
    """Return `properties` and `additionalProperties` of a conjunction."""
    others = [part["additionalProperties"] for part in parts if "additionalProperties" in part]
    names = dict.fromkeys(name for part in parts for name in part.get("properties", ()))
    properties = {}
    for name in names:
        schemas = [
            part["properties"][name] if name in part.get("properties", ()) else part[_ADDITIONAL]
            for part in parts
            if name in part.get("properties", ()) or _ADDITIONAL in part
        ]
        if False not in schemas:
            properties[name] = _conjunction(schemas)
    merged: Node = {"properties": properties} if names else {}
    if others:
        merged[_ADDITIONAL] = False if False in others else _conjunction(others)
    return merged


def _conjunction(schemas: list[Any]) -> Any:
    different: list[Any] = []
    for schema in schemas:
        if schema not in (True, {}) and schema not in different:
            different.append(schema)
    if len(different) <= 1:
        return different[0] if different else True
    return {"allOf": different}


def _check_one_of(node: Node, root: Node, path: str, findings: Findings) -> Node:
    """Return the node with `anyOf` for `oneOf` if each value has one branch at most.

    Closing can hide that open objects overlap, so those must differ before they are closed.
    """
    branches = node.get("oneOf")
    if not isinstance(branches, list) or "anyOf" in node:
        return node
    resolved = [resolve(branch, root) for branch in branches if isinstance(branch, dict)]
    known = [branch for branch in resolved if branch is not None]
    if len(known) == len(branches) and are_disjoint(known, root):
        return _as_any_of(node)
    if any("properties" in branch for branch in known):
        reason = (
            "its branches may overlap: use anyOf, or require in each branch a property with a "
            "constant of its own"
        )
        findings.add(f"{path}.oneOf", reason)
    return node


def _as_any_of(node: Node) -> Node:
    return {("anyOf" if name == "oneOf" else name): value for name, value in node.items()}


def _distribute(node: Node, root: Node, findings: Findings) -> Node:
    """Return the node with its own properties in each alternative."""
    branches = node.get("anyOf")
    if not isinstance(branches, list) or "properties" not in node:
        return node
    if not all(isinstance(branch, dict) for branch in branches):
        raise _UnmergeableError
    parts = [_parts(branch, root, ()) for branch in branches]
    if not any(_OBJECT & part.keys() for each in parts for part in each):
        return node
    definitions = {name: node[name] for name in _DEFINITIONS if name in node}
    base = {name: node[name] for name in node if name not in ("anyOf", *_DEFINITIONS)}
    return {**definitions, "anyOf": [_merge([base, *part], findings) for part in parts]}
