"""Amounts that one request takes of its project's limits, and what was reserved of them."""

from dataclasses import dataclass, field

from models.access.projects import ProjectLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Amounts that a request asks for."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    """Most tokens of its output, as far as it limits them."""
    num_choices: int = 1
    num_open_choices: int = 0
    """Choices whose length it does not limit: each is expected to have the project's mean."""
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Amounts that were counted for a request when it was accepted; None of what has no limit."""

    slot: int
    """Slot of the windows in which they were counted."""
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    num_choices: int = 1

    @property
    def has_tokens(self) -> bool:
        """True if there is something to settle at the end of the request."""
        return self.input_tokens is not None or self.output_tokens is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """State of one counter."""

    used: int = 0
    reset_ms: int = 0
    """Milliseconds until nothing of it is used, unless more is."""


COUNTERS = ("requests", "input_tokens", "output_tokens")
"""Names of the counters, in the order of the scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Result of a demand."""

    refused_by: str | None
    """Counter with the longest wait, or `stored_bytes`; None if the demand is granted."""
    wait_ms: int
    slot: int
    output_tokens: int
    """Output tokens that were reserved, or would have been."""
    usage: dict[str, Usage] = field(default_factory=dict)


def rates_of(limits: ProjectLimits) -> dict[str, int | None]:
    """Return the limits per minute by counter."""
    return {name: getattr(limits, f"{name}_per_minute") for name in COUNTERS}


def has_rates(limits: ProjectLimits) -> bool:
    """Return True if anything per minute is limited."""
    # Written out, since every request asks this twice.
    return (
        limits.requests_per_minute is not None
        or limits.input_tokens_per_minute is not None
        or limits.output_tokens_per_minute is not None
    )
