"""Optional fields of a complete reasoning item."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningExtras:
    """Functions that derive optional fields of a reasoning item from its text when it ends."""

    summarise: Callable[[str], str] | None = None
    """Text → summary; None for no summary. An item that was cut off gets none."""
    encrypt: Callable[[str], str] | None = None
    """Text → `encrypted_content`; None to leave the field out."""
