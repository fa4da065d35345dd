"""A kind of checkpoint that is refused: how it is written, and what is said of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Write = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of damage, or of weights in a format that is not read."""

    write: Write
    """Writes the checkpoint to an empty folder."""
    problem: str
    """Part of what is said of it."""
    name: str = ""
    """Name of what is served within the folder; empty for the folder itself."""
