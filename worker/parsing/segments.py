"""What generated text is made of."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a piece of generated text is."""

    THOUGHT = "thought"
    TAG = "tag"
    """Tags, and the white space just within them: part of the thought, shown nowhere."""
    SPACE = "space"
    """White space between thought, answer and calls, shown nowhere."""
    CALL = "call"
    """A call of a tool as a whole, with its tags."""
    CALL_BEGIN = "call_begin"
    """A call of a function up to its arguments; `name` says which."""
    ARGUMENTS = "arguments"
    """Arguments of the call that has begun, as they are written."""
    CALL_END = "call_end"
    """What comes after them."""
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Segment:
    """Generated text of one kind."""

    kind: Kind
    text: str
    name: str = ""
    """Of the function that a call begins with."""


def begun(text: str, tag: str) -> int:
    """Length of the longest end of a text with which a tag begins, the whole tag left out."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if tag.startswith(text[-length:])), 0)
