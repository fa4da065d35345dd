"""Interface of the readers of arguments."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

ArgumentTypes = Mapping[str, frozenset[str]]
"""JSON types that each argument of a function may have, in the order of the parameters.

No types at all mean that any value will do.
"""


class Read(NamedTuple):
    """Result of reading some text."""

    length: int
    """Number of characters that have been read."""
    json: str = ""
    """JSON that they make."""
    is_done: bool = False
    """True if the arguments have ended."""


class ArgumentsReader(Protocol):
    """Incremental reader of the arguments of one call.

    The JSON depends on the text alone, and not on the pieces that it came in. Arguments that break
    off leave JSON that breaks off; those that are malformed are ended or read as texts.
    """

    def read(self, text: str) -> Read:
        """Read the beginning of the text that has not been read so far."""
        ...
