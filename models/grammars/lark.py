"""Lark grammars of clients: what they may not name, and the JSON schemas that they embed."""

import json
import re
from collections.abc import Callable
from typing import Any

from models.grammars.repetitions import check_repetitions

_PARTS = re.compile(
    r"""
    "(?:\\.|[^"\\\n])*"                    # a string
    | (?://|\#)[^\n]*                       # a comment
    | (?P<regex>/(?:\\.|[^/\\\n])+/)
    | (?P<operator>[&~])
    | (?P<schema>%json\b)\s*
    | (?P<token><)
    """,
    re.VERBOSE,
)
MAX_OPERATORS = 16
"""Maximum number of intersections and complements of regular expressions in one grammar."""

_RULE_TEMPERATURE = re.compile(r"\[[^\]\n]*\btemperature\s*=")


class LarkError(ValueError):
    """A Lark grammar uses something that is not supported; the message says what."""


def prepare_lark(text: str, prepare_schema: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    """Return a client's grammar with `prepare_schema` applied to the schemas that it embeds.

    Raises `LarkError` for tokens that are named, since text that is generated never contains
    special tokens, for the temperature of a rule, and for too many operators. Raises
    `TooManyRepetitionsError`.
    """
    if _RULE_TEMPERATURE.search(text):
        raise LarkError("the temperature of a rule is not supported")
    parts, position, num_operators = [], 0, 0
    while found := _PARTS.search(text, position):
        parts.append(text[position : found.end()])
        position = found.end()
        if found["token"]:
            raise LarkError("tokens cannot be named: what is generated is text")
        if found["regex"]:
            check_repetitions(found["regex"])
        num_operators += found["operator"] is not None
        if num_operators > MAX_OPERATORS:
            raise LarkError(f"it has more than {MAX_OPERATORS} operators & and ~")
        if found["schema"]:
            schema, position = _read_schema(text, position)
            parts.append(json.dumps(prepare_schema(schema), ensure_ascii=False))
    return "".join([*parts, text[position:]])


def _read_schema(text: str, start: int) -> tuple[dict[str, Any], int]:
    """Read the JSON object that begins at `start`; return it and the position after it."""
    try:
        schema, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise LarkError(f"%json is not followed by valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise LarkError("%json is not followed by a JSON object")
    return schema, end
