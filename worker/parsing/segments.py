"""Segments of generated text: reasoning, tool calls and answer."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kind of a segment of generated text."""

    REASONING = "reasoning"
    TAG = "tag"
    """Reasoning tags and the white space just inside them; counted as reasoning, never shown."""
    SPACE = "space"
    """White space between reasoning, answer and calls; never shown."""
    CALL = "call"
    """A whole tool call, tags included."""
    CALL_BEGIN = "call_begin"
    """The beginning of a function call up to its arguments; `name` is the function."""
    ARGUMENTS = "arguments"
    """A piece of the current call's arguments, as it is generated."""
    CALL_END = "call_end"
    """The end of a call, after its arguments."""
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Segment:
    """Generated text of one kind."""

    kind: Kind
    text: str
    name: str = ""
    """Name of the function, for `CALL_BEGIN`."""


def partial_tag_length(text: str, tag: str) -> int:
    """Return the length of the longest suffix of `text` that is a proper prefix of `tag`."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if tag.startswith(text[-length:])), 0)
