"""Intervals and time limits of a worker process."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimings:
    """Intervals and time limits of a worker process, in seconds."""

    heartbeat_s: float = 1.0
    """Interval between two renewals of the lease."""
    lease_margin_s: float = 1.0
    """Time before its lease expires at which a worker that could not renew it stops by itself."""
    beat_limit_s: float = 30.0
    """Time without a try to renew the lease after which the process no longer counts as alive.

    A try ends within this time, whatever the database does.
    """
    watchdog_s: float = 0.25
    """Interval between two checks of the lease and the engine."""
    poll_s: float = 1.0
    """Interval between two polls of the queue."""
    cancel_poll_s: float = 0.5
    """Longest wait for a cancel message before the stop flag is checked again."""
    retry_s: float = 0.5
    """Interval between two tries of a write while the database is unreachable."""
    redis_away_s: float = 1.0
    """Time without claims of responses whose content is in Redis, after Redis was unreachable."""
    preempt_s: float = 0.25
    """Interval between two looks at what is queued while this worker has no room."""
    preempt_after_s: float = 1.4
    """Time for which a project or end user has nothing running before a response of another is put
    off for it."""
    preempt_run_s: float = 2.0
    """Time from its first token for which a response runs before it is put off; so much longer
    each time that it is claimed again."""
    charge_s: float = 5.0
    """Interval between two charges of the running responses for their tokens so far."""
