"""The states of a response and the legal transitions between them (diagram: docs/states.md)."""

from enum import StrEnum


class ResponseStatus(StrEnum):
    """State of a response."""

    QUEUED = "queued"
    """Stored and waiting for a worker."""
    IN_PROGRESS = "in_progress"
    """Claimed by the worker named in the row."""
    COMPLETED = "completed"
    """The model ended its output or reached a stop string."""
    INCOMPLETE = "incomplete"
    """Cut off, for the reason in `incomplete_details.reason`."""
    FAILED = "failed"
    """Ended by an error, given in `error`."""
    CANCELLED = "cancelled"
    """Ended by its client."""


_S = ResponseStatus

TRANSITIONS: dict[ResponseStatus, frozenset[ResponseStatus]] = {
    _S.QUEUED: frozenset({_S.IN_PROGRESS, _S.CANCELLED, _S.FAILED}),
    _S.IN_PROGRESS: frozenset({_S.QUEUED, _S.COMPLETED, _S.INCOMPLETE, _S.FAILED, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.INCOMPLETE: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}

TERMINAL = frozenset(status for status, targets in TRANSITIONS.items() if not targets)
CONTINUABLE = frozenset({_S.COMPLETED, _S.INCOMPLETE})
"""States in which a response may be the previous one of another."""
ACTIVE = frozenset(ResponseStatus) - TERMINAL


def sources_of(target: ResponseStatus) -> frozenset[ResponseStatus]:
    """Return the states with a transition to `target`, for a conditional UPDATE."""
    return frozenset(status for status, targets in TRANSITIONS.items() if target in targets)
