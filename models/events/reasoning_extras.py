"""What a complete reasoning item has beside its text."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningExtras:
    """What a reasoning item has beside its text, made from it when it ends."""

    summarise: Callable[[str], str] | None = None
    """Its summary; of what was cut off, none is made."""
    encrypt: Callable[[str], str] | None = None
    """Its `encrypted_content`."""
