"""Result of one family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of the comparison of a family."""

    EXACT = "exact"
    """Every token equals that of transformers, or is the other one of a tie."""
    DIFFERS = "differs"
    """It loads, and an answer is wrong or missing."""
    REFUSED = "refused"
    """The engine says that it cannot run it."""
    FAILED = "failed"
    """The network could not be built, or its process did not end as it should."""


@dataclass(slots=True)
class Result:
    """Result of one family."""

    family: str
    outcome: Outcome
    text: str = ""
    """Places of the differences, or the refusal or the error in the engine's words."""
    computed_in: str = ""
    """Library that `auto` chooses for the forward pass."""
    torch: str = ""
    """Outcome of the torch forward pass, if `auto` chose another."""
    is_early: bool = False
    """True if it is refused for its configuration, before any weights are read."""
    short_types: dict[str, str] = field(default_factory=dict)
    """Outcome of each shorter data type: `runs`, or the refusal."""
    num_ties: int = 0
    num_distinct: int = 0
    """Number of different tokens in all answers."""
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    seed: int = 0
    run: str = ""
    """Time and commit of the run that tried it."""

    @property
    def is_wrong(self) -> bool:
        """Return True if an answer is wrong or missing, or the comparison could not be made."""
        return self.outcome in (Outcome.DIFFERS, Outcome.FAILED)

    @property
    def is_late(self) -> bool:
        """Return True if it is refused only after weights were read."""
        return self.outcome is Outcome.REFUSED and not self.is_early

    @property
    def has_all_types(self) -> bool:
        """Return True if it also runs in every shorter type."""
        return self.outcome is Outcome.EXACT and set(self.short_types.values()) == {"runs"}


Results = Mapping[str, Result]
"""Results by family."""
