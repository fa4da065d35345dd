"""Numbers of a schema: llguidance computes with 64-bit floats, so some are refused or moved.

A constant that a float cannot hold is refused. A bound that it cannot hold is moved to the nearest
one inside that is exact: whatever is generated then satisfies the schema.
"""

import math
from typing import Any, TypeGuard

from models.grammars.json_schema.errors import Findings
from models.grammars.json_schema.nodes import Node

MAX_EXACT = 2**53 - 1
"""Largest integer up to which 64-bit floats hold all integers."""
_MAX_INTEGER = 2**63 - 1024
"""Largest float that is a 64-bit integer."""
_GAP = 1e-6
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def check_numbers(node: Node, path: str, findings: Findings) -> Node:
    """Return the node with exact bounds; refuse constants that cannot be exact."""
    for name in ("const", "enum"):
        if name in node and (number := _find_inexact(node[name])) is not None:
            findings.add(f"{path}.{name}", f"{number} is beyond ±{MAX_EXACT}, and not exact")
            node = {key: value for key, value in node.items() if key != name}
    if not any(_is_number(node.get(name)) for name in _BOUNDS):
        return node
    is_integer = node.get("type") == "integer"
    moved = _move_exclusive(node) if is_integer else _close_gap(node)
    return dict(_move(moved, path, findings, is_integer=is_integer))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _find_inexact(value: Any) -> int | float | None:
    """Return a number in the data whose neighbours are the same 64-bit float."""
    pending = [value]
    while pending:
        inner = pending.pop()
        if _is_number(inner) and abs(inner) > MAX_EXACT:
            return int(inner)
        if isinstance(inner, list):
            pending += inner
        elif isinstance(inner, dict):
            pending += inner.values()
    return None


def _move_exclusive(node: Node) -> Node:
    """Return the node of an integer with inclusive bounds where they are beyond exact floats."""
    moved = dict(node)
    for name, other, step in (
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ):
        bound = moved.get(name)
        if not _is_number(bound) or abs(bound) < MAX_EXACT:
            continue
        del moved[name]
        pick = max if step > 0 else min
        inclusive = math.floor(bound) + 1 if step > 0 else math.ceil(bound) - 1
        present = moved.get(other)
        moved[other] = pick(inclusive, present) if _is_number(present) else inclusive
    return moved


def _move(node: Node, path: str, findings: Findings, *, is_integer: bool) -> list[tuple[str, Any]]:
    moved = []
    for name, value in node.items():
        if name not in _BOUNDS or not _is_number(value) or abs(value) <= MAX_EXACT:
            moved.append((name, value))
            continue
        bound = _exact_bound(value, is_upper="aximum" in name, is_integer=is_integer)
        if bound is None:
            findings.add(f"{path}.{name}", f"numbers beyond {int(value)} cannot be generated")
        else:
            moved.append((name, bound))
    return moved


def _exact_bound(value: int | float, *, is_upper: bool, is_integer: bool) -> int | None:
    """Return the nearest enforceable bound inside; None if there is none."""
    limit = _MAX_INTEGER if is_integer else MAX_EXACT
    if is_upper:
        bound = min(math.floor(value), limit)
        return _floor_to_float(bound) if bound >= -limit else None
    bound = max(math.ceil(value), -limit)
    return -_floor_to_float(-bound) if bound <= limit else None


def _floor_to_float(value: int) -> int:
    """Return the largest integer that is a 64-bit float and not above `value`."""
    nearest = int(float(value))
    return nearest if nearest <= value else int(math.nextafter(float(value), -math.inf))


def _close_gap(node: Node) -> Node:
    """Return the node with an exclusive bound moved inside where llguidance would include it.

    It does so for an integer as a bound if the other bound is less than 1 away.
    """
    lower, upper = node.get("exclusiveMinimum"), node.get("maximum", node.get("exclusiveMaximum"))
    if _is_number(lower) and _is_number(upper) and 0 < upper - lower <= 1 and lower == int(lower):
        node = {key: value for key, value in node.items() if key != "exclusiveMinimum"}
        node["minimum"] = lower + min(_GAP, (upper - lower) / 2)
    upper, lower = node.get("exclusiveMaximum"), node.get("minimum", node.get("exclusiveMinimum"))
    if _is_number(lower) and _is_number(upper) and 0 < upper - lower <= 1 and upper == int(upper):
        node = {key: value for key, value in node.items() if key != "exclusiveMaximum"}
        node["maximum"] = upper - min(_GAP, (upper - lower) / 2)
    return node
