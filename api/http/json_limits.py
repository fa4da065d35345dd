"""Limits of JSON text, checked before it is parsed: nesting and number of values.

A parsed value takes many times its text: ten million empty lists are 30 MB of text and 700 MB of
objects.
"""

import re
from itertools import accumulate

from api.http.protocol_errors import InvalidJsonError, RequestTooLargeError

MAX_DEPTH = 100
"""Levels of nesting. orjson writes at most 254, and schema compilers recurse."""

MAX_VALUES = 500_000
"""Number of values of all kinds."""

_STRUCTURE = b'"[]{},:'
_NO_STRUCTURE = bytes(set(range(256)) - set(_STRUCTURE))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_STRING = re.compile(rb'"[^"]*"')


def check_limits(data: bytes) -> None:
    """Raise an `AppError` if valid JSON exceeds a limit; other text need not be JSON."""
    num_brackets = data.count(b"[") + data.count(b"{")
    if num_brackets <= MAX_DEPTH and num_brackets + data.count(b",") < MAX_VALUES:
        return  # even if all of them are structure
    structure = _structure_of(data)
    if structure.count(b",") + structure.count(b"[") + structure.count(b"{") >= MAX_VALUES:
        _refuse_values()
    brackets = structure.translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise InvalidJsonError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _structure_of(data: bytes) -> bytes:
    """Return the brackets, commas and colons that are not part of strings."""
    if b"\\" in data:
        # Pairs first: a backslash that is left escapes what follows it.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = data.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    # Each of the strings that are left, a key or a value, is removed by itself.
    if structure.count(b'"') > 4 * MAX_VALUES:
        _refuse_values()
    return _STRING.sub(b"", structure)


def _refuse_values() -> None:
    message = f"The body has more than {MAX_VALUES} values."
    raise RequestTooLargeError(message)
