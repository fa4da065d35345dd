"""Function calls that deviate from the grammar's notation, parsed from their whole text."""

from collections.abc import Collection
from typing import NamedTuple

import orjson

from models.tools.web_search import CALL_CLOSER, CALL_OPENER


class FunctionCallText(NamedTuple):
    """Function call with its arguments as JSON text."""

    name: str
    arguments: str


def parse_function_call(text: str, functions: Collection[str]) -> FunctionCallText | None:
    """Parse a call, tags included; return None if it calls none of these functions.

    Its keys may come in any order, and its arguments may be a string that contains JSON.
    """
    try:
        call = orjson.loads(text.strip().removeprefix(CALL_OPENER).removesuffix(CALL_CLOSER))
    except orjson.JSONDecodeError:
        return None
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str) or name not in functions:
        return None
    arguments = call.get("arguments", call.get("parameters", {}))
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()
    return FunctionCallText(name, arguments) if isinstance(arguments, str) else None
