"""Removal of what a terminal would interpret from text that a model or a stranger wrote."""

import re

_BIDI = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates, which reorder what is shown."""
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff]")
_ESCAPE, _CSI, _STRING_ENDS = "\x1b", "\x9b", ("\x07", "\x9c", "\x18", "\x1a")
_STRINGS = "PX]^_"
"""Characters that begin a string after an escape: DCS, SOS, OSC, PM, APC."""
_STRINGS_C1 = "\x90\x98\x9d\x9e\x9f"
_MAX_SEQUENCE = 256
"""Characters after which what began as a sequence is text: it must not hide an answer."""


class TextCleaner:
    """Cleaner of one text that comes in pieces: a sequence may be split over any of them.

    It drops control characters other than line feeds and tabs, whole escape sequences of ANSI
    terminals, and characters that change the direction of text.
    """

    def __init__(self) -> None:
        self._sequence = ""

    def feed(self, piece: str) -> str:
        """Return what of the piece may be shown."""
        if not self._sequence and _CONTROL.search(piece) is None:
            return piece
        return "".join(self._take(char) for char in piece)

    def _take(self, char: str) -> str:
        if not self._sequence:
            if char in _ESCAPE + _CSI + _STRINGS_C1:
                self._sequence = char
                return ""
            return _CONTROL.sub("", char)
        if char == "\n" or len(self._sequence) >= _MAX_SEQUENCE:
            self._sequence = ""
            return _CONTROL.sub("", char)
        if char == _ESCAPE and not self._is_string():
            self._sequence = char
            return ""
        self._sequence += char
        if self._is_complete(char):
            self._sequence = ""
        return ""

    def _is_string(self) -> bool:
        first = self._sequence[:2]
        return first[0] in _STRINGS_C1 or (len(first) == 2 and first[1] in _STRINGS)

    def _is_complete(self, char: str) -> bool:
        if self._is_string():
            return char in _STRING_ENDS or self._sequence.endswith("\x1b\\")
        body = self._sequence.removeprefix("\x1b[") if self._sequence[0] == _ESCAPE else char
        if self._sequence[0] == _CSI or self._sequence.startswith("\x1b["):
            return bool(body) and not "\x20" <= char <= "\x3f"
        return not "\x20" <= char <= "\x2f"


def clean(text: str) -> str:
    """Return a whole text without what a terminal would interpret."""
    return TextCleaner().feed(text)


def clean_line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(clean(text).split())
