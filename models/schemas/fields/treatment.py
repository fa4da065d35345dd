"""Treatments of fields: every field, tool type and item type that the API knows has one of them."""

from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    """Effect of a field, as docs/protocol.md names it."""

    HONOURED = "honoured"
    NO_EFFECT = "no effect"
    """Accepted with any valid value; no answer depends on it."""
    REFUSED = "refused"
    """Refused by name, except with null and the values that change nothing."""


@dataclass(frozen=True, slots=True)
class FieldNote:
    """Treatment of a field, and the reason or meaning in a few words of Markdown."""

    treatment: Treatment
    note: str


FieldNotes = dict[str, FieldNote]
"""Notes by the path of a field, as errors name it, with `[]` for the entries of an array."""


def honoured(note: str) -> FieldNote:
    """Return the note of a field that does what it says."""
    return FieldNote(Treatment.HONOURED, note)


def no_effect(note: str) -> FieldNote:
    """Return the note of a hint."""
    return FieldNote(Treatment.NO_EFFECT, note)


def refused(note: str) -> FieldNote:
    """Return the note of a field that is not served."""
    return FieldNote(Treatment.REFUSED, note)
