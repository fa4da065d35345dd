"""What generated text is made of."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a piece of generated text is."""

    THOUGHT = "thought"
    TAG = "tag"
    """Tags, and the white space just within them: part of the thought, shown nowhere."""
    SPACE = "space"
    """White space between thought and answer, shown nowhere."""
    CALL = "call"
    """A call of a tool, with its tags."""
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Piece:
    """Generated text of one kind."""

    kind: Kind
    text: str


def begun(text: str, tag: str) -> int:
    """Length of the longest end of a text with which a tag begins, the whole tag left out."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if tag.startswith(text[-length:])), 0)
