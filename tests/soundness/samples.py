"""Schemas and patterns of our own for walks, beside those of the JSON-Schema-Test-Suite."""

from itertools import product
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_BOUNDS = (None, -2.5, -1, 0, 0.1, 1, 1.5, 7)
_KINDS: tuple[Schema, ...] = (
    {"type": "string", "maxLength": 3},
    {"type": "integer", "minimum": 0, "maximum": 20},
    {"enum": ["a", 1, None]},
    {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    {"type": "object", "properties": {"x": {"const": 1}}},
)


def numbers() -> list[Schema]:
    """Return schemas of numbers with all kinds of bounds."""
    schemas: list[Schema] = []
    for kind, lower, upper in product(("integer", "number"), _BOUNDS, _BOUNDS):
        if lower is None or upper is None or lower >= upper:
            continue
        schemas.append({"type": kind, "minimum": lower, "maximum": upper})
        schemas.append({"type": kind, "exclusiveMinimum": lower, "exclusiveMaximum": upper})
        schemas.append({"type": kind, "exclusiveMinimum": lower, "maximum": upper})
    for step in (3, 0.5, 0.01, 10):
        schemas.append({"type": "number", "multipleOf": step})
        schemas.append({"type": "integer", "multipleOf": step, "minimum": -20, "maximum": 20})
    return schemas


def formats() -> list[Schema]:
    """Return schemas of the served formats, alone and with other keywords."""
    names = ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri")
    return [
        {"type": "string", "format": name, **more}
        for name, more in product((*names, "uuid"), ({}, {"maxLength": 40}))
    ]


def objects() -> list[Schema]:
    """Return schemas of objects whose properties come in parts."""
    schemas: list[Schema] = []
    for first, second in product(_KINDS, _KINDS):
        a = {"properties": {"a": first}, "required": ["a"]}
        b = {"properties": {"b": second}, "required": ["b"]}
        named = {"$defs": {"a": a}, "properties": {"b": second}, "allOf": [{"$ref": "#/$defs/a"}]}
        schemas += [
            {"type": "object", **a, "allOf": [b]},
            {"type": "object", "anyOf": [a, b]},
            {"type": "object", "properties": {"k": first}, "anyOf": [b, {"required": ["k"]}]},
            {"type": "object", **named},
            {"type": "object", "properties": {"a": first}, "patternProperties": {"^[ab]$": second}},
        ]
    return schemas


def patterns() -> list[str]:
    """Return patterns: classes, negations, escapes, Unicode, anchors and repetitions."""
    return (Path(__file__).parent / "patterns.txt").read_text().splitlines()
