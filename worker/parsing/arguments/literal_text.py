"""Texts among literals: their quotation marks and escapes, as JSON."""

import re
from collections.abc import Sequence

from worker.parsing.arguments.reader import Read
from worker.parsing.arguments.values import text_as_json
from worker.parsing.segments import partial_tag_length

_MARKS = ('"', "'")
_ESCAPES = {"n": r"\n", "t": r"\t", "r": r"\r", "b": r"\b", "f": r"\f", "/": "/", "\n": ""}
_ESCAPES |= {'"': r"\"", "'": "'", "\\": r"\\", "a": r"\u0007", "v": r"\u000b", "0": r"\u0000"}
_NUM_DIGITS = {"x": 2, "u": 4, "U": 8}
_HEX = re.compile(r"[0-9a-fA-F]+")
_MAX_CODE = 0x10FFFF


def find_quote(text: str, position: int, quotes: Sequence[str]) -> str | None:
    """Return the quotation mark at a position, which may be a triple one of Python.

    Return an empty text if there is none, and None if only more text will tell.
    """
    rest = text[position : position + max(map(len, quotes))]
    for quote in quotes:
        if rest.startswith(quote):
            return quote if quote not in _MARKS else _python_quote(text[position : position + 3])
        if quote.startswith(rest):
            return None
    return ""


def _python_quote(start: str) -> str | None:
    mark = start[0]
    if start == mark * 3:
        return start
    return None if start == mark * len(start) and len(start) < 3 else mark


class TextReader:
    """Reads a text up to its closing quotation mark."""

    def __init__(self, quote: str) -> None:
        """Begin after the opening mark."""
        self._quote = quote
        self._has_escapes = quote[0] in _MARKS

    def read(self, text: str, position: int) -> Read:
        """Read from a position on, up to an escape or the end."""
        if self._has_escapes and text[position] == "\\":
            return _read_escape(text, position)
        if text.startswith(self._quote, position):
            return Read(len(self._quote), is_done=True)
        end = text.find(self._quote, position)
        escape = text.find("\\", position, None if end < 0 else end) if self._has_escapes else -1
        if escape >= 0:
            end = escape
        elif end < 0:
            end = len(text) - partial_tag_length(text[position:], self._quote)
        return Read(end - position, text_as_json(text[position:end]))


def _read_escape(text: str, position: int) -> Read:
    """Read a backslash and what it stands for; one that stands for nothing is kept."""
    kind = text[position + 1 : position + 2]
    if not kind:
        return Read(0)
    if kind not in _NUM_DIGITS:
        return Read(2, _ESCAPES.get(kind, rf"\\{text_as_json(kind)}"))
    length = 2 + _NUM_DIGITS[kind]
    digits = text[position + 2 : position + length]
    if not _HEX.fullmatch(digits or "0"):
        return Read(2, rf"\\{kind}")
    if len(digits) < _NUM_DIGITS[kind]:
        return Read(0)
    code = int(digits, 16)
    if code > _MAX_CODE:
        return Read(2, rf"\\{kind}")
    # Halves of a surrogate pair stand side by side in JSON, too.
    return Read(length, rf"\u{code:04x}" if code < 0x10000 else text_as_json(chr(code)))
