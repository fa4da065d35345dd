"""Reader of arguments that are literals of a programming language."""

from enum import StrEnum
from typing import NamedTuple

from models.profile.formats.call_format import LiteralArguments
from worker.parsing.arguments.literal_text import TextReader, find_quote
from worker.parsing.arguments.reader import ArgumentTypes, Read
from worker.parsing.arguments.values import atom_as_json, text_as_json

_CLOSERS = {"[": "]", "(": ")", "{": "}"}
_JSON_BRACKETS = {"]": ("[", "]"), ")": ("[", "]"), "}": ("{", "}")}
_ENDS_OF_ATOMS = ",)]}"


class _State(StrEnum):
    START = "start"
    ITEM = "item"
    """Before a name or value, or the closing bracket."""
    SEPARATOR = "separator"
    """Between a name in quotation marks and its value."""
    VALUE = "value"
    """Before the value of a name."""
    AFTER = "after"
    """Between a value and the next comma or bracket."""
    TEXT = "text"
    ATOM = "atom"


class _Frame(NamedTuple):
    """Bracket that is open."""

    closer: str
    separator: str
    """Text between a name and its value; empty if values have no names."""


class LiteralReader:
    """Reads `a="b", c=[1, None])` and the like; nested calls and comprehensions are texts."""

    def __init__(self, notation: LiteralArguments, types: ArgumentTypes) -> None:
        self._is_object = notation.is_object
        self._quotes = tuple(dict.fromkeys((notation.quote, '"', "'")))
        self._names = list(types)
        """Names of arguments that are given by position."""
        self._frames = [] if notation.is_object else [_Frame(")", "=")]
        self._counts = [0] * len(self._frames)
        """Number of items of each open bracket."""
        self._state = _State.START
        self._text = TextReader('"')
        self._is_named = False
        """True if the current text or atom is the value of a name."""
        self._is_name = False
        """True if the current text is a name."""
        self._atom: list[str] = []

    def read(self, text: str) -> Read:
        """Read all of the text that is certain."""
        position, json = 0, []
        while position < len(text):
            length, written, is_done = self._step(text, position)
            json.append(written)
            position += length
            if is_done:
                return Read(position, "".join(json), is_done=True)
            if not length and not written:
                break
        return Read(position, "".join(json))

    def _step(self, text: str, position: int) -> Read:
        char = text[position]
        match self._state:
            case _State.START:
                return self._start(char)
            case _State.TEXT:
                return self._read_text(text, position)
            case _State.ATOM:
                return self._read_atom(text, position)
            case _ if char.isspace():
                return Read(1)
            case _State.SEPARATOR:
                self._state = _State.VALUE
                # If it is missing, the space in JSON says that something was read.
                return Read(1) if char == self._frames[-1].separator else Read(0, " ")
            case _State.ITEM | _State.AFTER if char == ",":
                self._state = _State.ITEM
                return Read(1)
            case _ if char in _JSON_BRACKETS:
                return self._close(char)
            case _State.AFTER:
                return Read(1)
        return self._begin(text, position)

    def _start(self, char: str) -> Read:
        self._state = _State.ITEM
        if self._is_object:
            self._push("{")
        return Read(1 if self._is_object and char == "{" else 0, "{")

    def _push(self, bracket: str) -> None:
        self._frames.append(_Frame(_CLOSERS[bracket], ":" if bracket == "{" else ""))
        self._counts.append(0)

    def _close(self, bracket: str) -> Read:
        """Close brackets up to the one that this belongs to; a stray one is left out."""
        if all(frame.closer != bracket for frame in self._frames):
            return Read(1)
        json = ["null"] if self._state is _State.VALUE else []
        closer = ""
        while closer != bracket:
            closer = self._frames.pop().closer
            self._counts.pop()
            is_call = not self._frames and not self._is_object
            json.append("}" if is_call else _JSON_BRACKETS[closer][1])
        self._state = _State.AFTER
        # The parenthesis of a call belongs to what follows the arguments.
        return Read(0 if is_call else 1, "".join(json), is_done=not self._frames)

    def _begin(self, text: str, position: int) -> Read:
        """Begin a name or a value."""
        char, frame = text[position], self._frames[-1]
        quote = find_quote(text, position, self._quotes)
        if quote is None:
            return Read(0)
        self._is_named = self._state is _State.VALUE
        if quote:
            self._is_name = frame.separator == ":" and not self._is_named
            json = self._before(is_name=self._is_name)
            self._text, self._state = TextReader(quote), _State.TEXT
            return Read(len(quote), f'{json}"')
        if char in _CLOSERS:
            json = self._before(is_name=False)
            self._push(char)
            self._state = _State.ITEM
            return Read(1, json + _JSON_BRACKETS[_CLOSERS[char]][0])
        self._atom, self._state = [], _State.ATOM
        return self._read_atom(text, position)

    def _before(self, *, is_name: bool) -> str:
        """Return what stands in JSON before a name, or a value without one; count the item."""
        if self._is_named:
            return ""
        number = self._counts[-1]
        self._counts[-1] += 1
        comma = ", " if number else ""
        if is_name or not self._frames[-1].separator:
            return comma
        names = self._names if len(self._frames) == 1 else []
        name = names[number] if number < len(names) else f"arg{number}"
        return f'{comma}"{text_as_json(name)}": '

    def _read_text(self, text: str, position: int) -> Read:
        length, json, is_done = self._text.read(text, position)
        if not is_done:
            return Read(length, json)
        self._state = _State.SEPARATOR if self._is_name else _State.AFTER
        return Read(length, '": ' if self._is_name else '"')

    def _read_atom(self, text: str, position: int) -> Read:
        """Read a word; it shows at its end if it is a name."""
        separator = "" if self._is_named else self._frames[-1].separator
        ends = _ENDS_OF_ATOMS + separator
        end = next((n for n in range(position, len(text)) if text[n] in ends), len(text))
        self._atom.append(text[position:end])
        if end == len(text):
            return Read(end - position)
        atom, is_name = "".join(self._atom).strip(), text[end] == separator
        json = self._before(is_name=is_name)
        if is_name:
            self._state = _State.VALUE
            return Read(end + 1 - position, f'{json}"{text_as_json(atom)}": ')
        self._state = _State.AFTER
        return Read(end - position, json + atom_as_json(atom))
