"""Segments of generated text: reasoning, tool calls and answer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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
    """The beginning of a call up to its arguments or input; `name` is the function."""
    ARGUMENTS = "arguments"
    """A piece of the current call's arguments, or of a custom tool's input, as it is generated."""
    CALL_END = "call_end"
    """The end of a call, after its arguments or input."""
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Segment:
    """Generated text of one kind; `ARGUMENTS` and `CALL_END` may have none."""

    kind: Kind
    text: str
    name: str = ""
    """Name of the function, for `CALL_BEGIN`."""
    json: str | None = None
    """JSON that `ARGUMENTS` stand for; None if they are written as clients get them."""


class SegmentParser(Protocol):
    """Incremental parser of the text of one turn.

    The texts of all segments add up to the text that was added: token positions follow from them.
    The segments depend on the text alone, not on the pieces that it came in, so that an attempt
    which is given the tokens of an earlier one finds the same segments.
    """

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        ...

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text."""
        ...


def partial_tag_length(text: str, tag: str) -> int:
    """Return the length of the longest suffix of `text` that is a proper prefix of `tag`."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if tag.startswith(text[-length:])), 0)
