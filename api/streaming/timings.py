"""Intervals and time limits of streams and other waiting requests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimings:
    """Intervals and time limits of requests that wait for a response, in seconds."""

    keep_alive_s: float = 15.0
    """Time without an event after which a keep-alive comment is sent."""
    place_s: float = 3.0
    """Least time between two comments about the place of a queued response."""
    queue_s: float = 2.0
    """Least time between two reads of a project's queue, for the places of its responses."""
    watch_s: float = 1.0
    """Interval between two polls of the store for idle streams.

    A stream is idle after the same time without a message.
    """
    confirm_s: float = 1.0
    """Longest wait for Redis to confirm a subscription."""
    cancel_s: float = 0.8
    """Time that the worker has to stop before a cancelled response is ended without it."""
    max_age_s: float = 3600.0
    """Age at which a WebSocket connection is closed: one hour, by the specification."""
