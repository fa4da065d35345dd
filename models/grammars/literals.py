"""Delimiters in grammars: text, and the special tokens within it, which no text can spell there."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import orjson

ANYTHING = r"/(.|\n)*/"


class Literals:
    """Writer of delimiters in Lark; the special tokens among them are named by their ids."""

    def __init__(self, special_ids: Mapping[str, int] = MappingProxyType({}), *texts: str) -> None:
        """Create a writer; `texts` are all that it will be given, `special_ids` those of tokens."""
        joined = "\n".join(texts)
        self._ids = {text: token for text, token in special_ids.items() if text in joined}
        longest_first = sorted(map(re.escape, self._ids), key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(longest_first)})" if longest_first else r"(?!)")

    def write(self, text: str) -> str:
        """Return a delimiter as a sequence in Lark; nothing for an empty text."""
        return " ".join(self._piece(piece) for piece in self._split(text))

    def begins_special(self, text: str) -> bool:
        """Return True if a delimiter begins with a special token."""
        return bool(text) and self._split(text)[0] in self._ids

    def has_special(self, text: str) -> bool:
        """Return True if there is a special token in a delimiter."""
        return any(piece in self._ids for piece in self._split(text))

    def text_until(self, name: str, closer: str) -> list[str]:
        """Return the rule `name` of any text up to a delimiter, which is included."""
        pieces = self._split(closer)
        position = next((n for n, piece in enumerate(pieces) if piece in self._ids), None)
        if position is None:
            return [f"{name}[suffix={_quote(closer)}]: {ANYTHING}"]
        before = escape("".join(pieces[:position]))
        rest = " ".join(map(self._piece, pieces[position:]))
        return [rf"{name}: /(.|\n)*{before}/ {rest}"]

    def _split(self, text: str) -> list[str]:
        return [piece for piece in self._pattern.split(text) if piece]

    def _piece(self, piece: str) -> str:
        return f"<[{self._ids[piece]}]>" if piece in self._ids else _quote(piece)


def escape(text: str) -> str:
    """Return a regular expression of a text, for use between slashes."""
    return re.escape(text).replace("/", r"\/").replace("\n", r"\n")


def _quote(text: str) -> str:
    return orjson.dumps(text).decode()
