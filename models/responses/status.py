"""The states of a response and the only moves between them (drawn in docs/states.md)."""

from enum import StrEnum


class ResponseStatus(StrEnum):
    QUEUED = "queued"
    """Stored and waiting for a worker."""
    IN_PROGRESS = "in_progress"
    """Claimed by the worker named in the row."""
    COMPLETED = "completed"
    """The model ended by itself or reached a stop string."""
    INCOMPLETE = "incomplete"
    """Cut off; `incomplete_details.reason` says by what."""
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

TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
CONTINUABLE = frozenset({_S.COMPLETED, _S.INCOMPLETE})
"""Ended well enough that another turn may follow."""
ACTIVE = frozenset(ResponseStatus) - TERMINAL


def sources_of(target: ResponseStatus) -> frozenset[ResponseStatus]:
    """The states from which `target` may be reached, for the WHERE of a conditional UPDATE."""
    return frozenset(status for status, following in TRANSITIONS.items() if target in following)
