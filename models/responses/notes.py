"""Notes among the tokens of a response: what an attempt leaves for later ones, as data.

A note is neither generated nor read by the model. Its bytes are written as token ids above those of
any vocabulary, so that the log and checkpoints, which hold tokens, hold notes as well.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson

from models.responses.tokens import FIRST_NOTE_ID, complement

_BYTES = 3
"""Bytes of one token of a note."""


class NoteKind(IntEnum):
    """Subject of a note."""

    TOOLS_LISTED = 1
    """A server has listed its tools, or failed to."""
    CALL_ENDED = 2
    """A call that the client has approved has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note: its kind, and an object of JSON."""

    kind: NoteKind
    content: dict[str, Any] = field(default_factory=dict)

    def token_ids(self) -> list[int]:
        """Return the ids that stand for the note; negative, like those of given tokens.

        The first has the length of the content in bytes, which is compressed, the second the kind.
        """
        data = zlib.compress(orjson.dumps(self.content))
        padded = data + bytes(-len(data) % _BYTES)
        words = [len(data), int(self.kind)]
        words += [
            int.from_bytes(padded[start : start + _BYTES])
            for start in range(0, len(padded), _BYTES)
        ]
        return [complement(FIRST_NOTE_ID + word) for word in words]


def parse_notes(token_ids: Sequence[int]) -> Iterator[Note]:
    """Yield the notes that these ids, of nothing but notes, stand for."""
    words = [complement(token_id) - FIRST_NOTE_ID for token_id in token_ids]
    position = 0
    while position < len(words):
        num_bytes, kind = words[position], NoteKind(words[position + 1])
        end = position + 2 + -(-num_bytes // _BYTES)
        data = b"".join(word.to_bytes(_BYTES) for word in words[position + 2 : end])
        yield Note(kind=kind, content=orjson.loads(zlib.decompress(data[:num_bytes])))
        position = end
