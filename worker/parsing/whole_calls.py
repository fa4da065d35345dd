"""Function calls that deviate from the grammar's notation, parsed from their whole text."""

from collections.abc import Collection
from typing import Any, NamedTuple

import orjson

from models.tools.web_search import CALL_CLOSER, CALL_OPENER

_NAMES = ("name", "tool_name")
_ARGUMENTS = ("arguments", "parameters")


class FunctionCallText(NamedTuple):
    """Function call with its arguments as JSON text."""

    name: str
    arguments: str


def parse_function_call(text: str, functions: Collection[str]) -> FunctionCallText | None:
    """Parse a call, tags included; return None if it calls none of these functions.

    Its keys may come in any order, and its arguments may be a string that contains JSON.
    """
    calls = parse_function_calls(
        text.strip().removeprefix(CALL_OPENER).removesuffix(CALL_CLOSER), functions
    )
    return calls[0] if len(calls) == 1 else None


def parse_function_calls(text: str, functions: Collection[str]) -> list[FunctionCallText]:
    """Parse a call or a list of calls; return none unless all of it calls these functions."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    calls = [_parse(call, functions) for call in (found if isinstance(found, list) else [found])]
    known = [call for call in calls if call is not None]
    return known if len(known) == len(calls) else []


def _parse(call: Any, functions: Collection[str]) -> FunctionCallText | None:
    if not isinstance(call, dict):
        return None
    name = next((call[key] for key in _NAMES if key in call), None)
    if not isinstance(name, str) or name not in functions:
        return None
    arguments: Any = next((call[key] for key in _ARGUMENTS if key in call), {})
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()
    return FunctionCallText(name, arguments) if isinstance(arguments, str) else None
