"""Reader of JSON that is being generated: which objects are open, and which names they have."""

import json
import re
from enum import Enum, auto
from typing import NamedTuple

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPENING, _CLOSING = b"{[", b"}]"
_TOOL_ONLY = frozenset({b"name"})
_PLAIN = re.compile(rb'[^"\\]+')


class Place(Enum):
    """Place in an output."""

    FREE = auto()
    """In text that is not JSON."""
    OUTSIDE = auto()
    """Between strings, where the next one is a value."""
    BEFORE_NAME = auto()
    """Between strings, where the next one is a name."""
    NAME = auto()
    STRING = auto()
    REST = auto()
    """In the text after an object that only says which tool it is for: no JSON to the end."""


Names = frozenset[bytes] | None
"""Names of an open object without their escapes, in UTF-8; None for an array."""


class JsonState(NamedTuple):
    """State between two bytes; immutable, so that tokens can be tried."""

    place: Place
    open: tuple[Names, ...] = ()
    """Open objects and arrays, from the outside in."""
    text: bytes = b""
    """Name that is being written, or the end of what is outside of strings."""
    is_escaped: bool = False

    @property
    def innermost(self) -> Names:
        """Names of the innermost object; None in an array and outside of all."""
        return self.open[-1] if self.open else None

    def rests(self) -> list[bytes]:
        """Return how the name that is being written might go on to be one written before."""
        num_written = len(self.text)
        names = self.innermost or ()
        return [name[num_written:] for name in names if name.startswith(self.text)]

    def may_repeat(self) -> bool:
        """Return True if a name comes next, or is being written, that may be one written before."""
        if self.place is Place.BEFORE_NAME:
            return bool(self.innermost)
        return self.place is Place.NAME and bool(self.rests())


class JsonReader:
    """Reader of outputs that are JSON, but for free text from an opener to a closer."""

    def __init__(self, opener: bytes, closer: bytes) -> None:
        self._opener = opener
        self._closer = closer

    def read(self, state: JsonState | None, data: bytes) -> JsonState | None:
        """Return the state after more of the output; None once an object has a name twice."""
        position = 0
        while position < len(data) and state is not None and state.place is not Place.REST:
            is_string = state.place in (Place.NAME, Place.STRING)
            if is_string and not state.is_escaped and (plain := _PLAIN.match(data, position)):
                position = plain.end()
                if state.place is Place.NAME:
                    state = state._replace(text=state.text + plain[0])
                continue
            byte = data[position]
            position += 1
            if is_string:
                state = _read_string(state, byte)
            elif state.place is Place.FREE:
                state = self._read_free(state, byte)
            else:
                state = self._read_outside(state, byte)
        return state

    def _read_free(self, state: JsonState, byte: int) -> JsonState:
        text = _append(state.text, byte, len(self._closer))
        return JsonState(Place.OUTSIDE) if text == self._closer else state._replace(text=text)

    def _read_outside(self, state: JsonState, byte: int) -> JsonState:
        text = _append(state.text, byte, len(self._opener))
        if self._opener and text == self._opener:
            return JsonState(Place.FREE)
        if byte == _QUOTE:
            is_name = state.place is Place.BEFORE_NAME
            return state._replace(place=Place.NAME if is_name else Place.STRING, text=b"")
        if byte in _OPENING:
            names: Names = frozenset() if byte == _OPENING[0] else None
            return JsonState(_after_comma(names), (*state.open, names), text)
        if byte in _CLOSING:
            is_tool_only = len(state.open) == 1 and state.innermost == _TOOL_ONLY
            place = Place.REST if is_tool_only else Place.OUTSIDE
            return JsonState(place, state.open[:-1], text)
        if byte == _COMMA:
            return state._replace(place=_after_comma(state.innermost), text=text)
        return state._replace(text=text)


def _read_string(state: JsonState, byte: int) -> JsonState | None:
    """Return the state after a byte of a string; None if it completes a name a second time."""
    if state.is_escaped or byte != _QUOTE:
        is_escaped = byte == _BACKSLASH and not state.is_escaped
        text = state.text + bytes([byte]) if state.place is Place.NAME else b""
        return state._replace(text=text, is_escaped=is_escaped)
    if state.place is Place.STRING:
        return JsonState(Place.OUTSIDE, state.open)
    name, names = _without_escapes(state.text), state.innermost or frozenset()
    if name in names:
        return None
    return JsonState(Place.OUTSIDE, (*state.open[:-1], names | {name}))


def _after_comma(names: Names) -> Place:
    return Place.OUTSIDE if names is None else Place.BEFORE_NAME


def _append(text: bytes, byte: int, max_bytes: int) -> bytes:
    return (text + bytes([byte]))[-max_bytes:] if max_bytes else b""


def _without_escapes(name: bytes) -> bytes:
    if b"\\" not in name:
        return name
    try:
        return str(json.loads(b'"' + name + b'"', strict=False)).encode(errors="surrogatepass")
    except ValueError:
        return name
