"""Reader of arguments that have tags of their own."""

from functools import lru_cache
from typing import Any

import regex

from models.profile.formats.call_format import OTHER_TYPE, TaggedArguments
from worker.parsing.arguments.reader import ArgumentTypes, Read
from worker.parsing.arguments.values import text_as_json, value_as_json
from worker.parsing.segments import partial_tag_length

_MAX_HEAD = 1024
"""Most characters of the tags around a name."""
_OTHER_TYPES = "(?:number|integer|boolean|null|object|array)"
_TEXT = frozenset({"string"})


class TaggedReader:
    """Reads `<parameter=name>value</parameter>` and the like.

    Texts are passed on while they are written, any other value when it is complete.
    """

    def __init__(self, notation: TaggedArguments, types: ArgumentTypes) -> None:
        self._types = types
        self._head = head_pattern(notation)
        self._has_types = bool(notation.after_other_name)
        self._closer = notation.closer.strip()
        self._has_breaks = notation.after_name.endswith("\n")
        """True if one line break at either end of a value belongs to the tags."""
        self._num_arguments = 0
        self._value_types: frozenset[str] | None = None
        """Types of the current value; None between arguments."""
        self._value: list[str] = []
        """Pieces of a value that is no text."""
        self._is_at_start = False

    def read(self, text: str) -> Read:
        """Read the next piece of an argument, or find that there are no more."""
        if self._value_types is None:
            return self._read_head(text)
        if self._is_at_start and self._has_breaks:
            self._is_at_start = not text
            return Read(1) if text.startswith("\n") else self._read_value(text)
        return self._read_value(text)

    def _read_head(self, text: str) -> Read:
        if num_space := len(text) - len(text.lstrip()):
            return Read(num_space)
        if not text:
            return Read(0)
        found = self._head.match(text, partial=True)
        if found is not None and found.partial and len(text) <= _MAX_HEAD:
            return Read(0)
        if found is None or found.partial:
            return Read(0, "}" if self._num_arguments else "{}", is_done=True)
        name = found["name"]
        types = self._types.get(name, frozenset())
        if self._has_types:
            types = _TEXT if found["text"] is not None else frozenset()
        self._value_types, self._value, self._is_at_start = types, [], True
        start = ", " if self._num_arguments else "{"
        self._num_arguments += 1
        opening = '"' if types == _TEXT else ""
        return Read(found.end(), f'{start}"{text_as_json(name)}": {opening}')

    def _read_value(self, text: str) -> Read:
        end = text.find(self._closer)
        if end < 0:
            length = len(text) - self._num_uncertain(text)
            return Read(length, self._take(text[:length]))
        value = text[:end]
        if self._has_breaks:
            value = value.removesuffix("\n")
        json = self._take(value) + self._end()
        self._value_types = None
        return Read(end + len(self._closer), json)

    def _num_uncertain(self, text: str) -> int:
        """Return how many characters at the end may belong to the closing tag."""
        num_uncertain = partial_tag_length(text, self._closer)
        if self._has_breaks and text[: len(text) - num_uncertain].endswith("\n"):
            num_uncertain += 1
        return num_uncertain

    def _take(self, value: str) -> str:
        if self._value_types == _TEXT:
            return text_as_json(value)
        self._value.append(value)
        return ""

    def _end(self) -> str:
        assert self._value_types is not None
        if self._value_types == _TEXT:
            return '"'
        return value_as_json("".join(self._value), self._value_types)


@lru_cache
def head_pattern(notation: TaggedArguments) -> Any:
    """Return the pattern of the tags around a name, up to the value."""
    before, after = _lenient(notation.before_name), _lenient(notation.after_name.rstrip())
    other = _lenient(notation.after_other_name).replace(OTHER_TYPE, _OTHER_TYPES)
    name = r'(?P<name>[^<>"\n=]{1,256}+)'
    return regex.compile(rf"{before}{name}(?:(?P<text>{after}){f'|{other}' * bool(other)})")


def _lenient(text: str) -> str:
    """Return a pattern in which any white space may stand where the text has some."""
    return r"\s*+".join(map(regex.escape, text.split())) if text.strip() else ""
