"""Values of arguments as JSON text."""

import re

import orjson

_CONSTANTS = {"True": "true", "False": "false", "None": "null"}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_MAX_DIGITS = 400
"""Most characters of a number in a spelling that JSON does not have."""


def text_as_json(text: str) -> str:
    """Return a text as JSON, without the quotation marks."""
    try:
        return orjson.dumps(text).decode()[1:-1]
    except orjson.JSONEncodeError:  # half of a surrogate pair
        return text_as_json(text.encode(errors="replace").decode())


def value_as_json(text: str, types: frozenset[str]) -> str:
    """Return as JSON a value whose types are known: JSON if it is of one of them, else a text."""
    stripped = text.strip()
    stripped = _CONSTANTS.get(stripped, stripped)
    found = _type_of(stripped)
    is_wanted = found is not None and (not types or found in types)
    if is_wanted and not (found == "string" and types):
        return stripped
    if found == "integer" and "number" in types:
        return stripped
    return f'"{text_as_json(text)}"'


def atom_as_json(text: str) -> str:
    """Return as JSON a word of a programming language: a constant, a number, or else a text."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower
    if lower in ("null", "none", "nil"):
        return "null"
    if _NUMBER.fullmatch(text):
        return text
    return _other_number(text) or f'"{text_as_json(text)}"'


def _type_of(text: str) -> str | None:
    """Return the JSON type of a text; None if it is not JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() and not _NUMBER.fullmatch(text) else "number"
        case str():
            return "string"
        case dict():
            return "object"
    return "array"


def _other_number(text: str) -> str | None:
    """Return a number in a spelling that JSON does not have, such as `0x1f`; None for others."""
    if len(text) > _MAX_DIGITS or text[:1] not in "+-.0123456789":
        return None
    try:
        return str(int(text, 0))
    except ValueError:
        pass
    try:
        number = orjson.dumps(float(text)).decode()
    except ValueError:
        return None
    return None if number == "null" else number  # infinite, or none at all
