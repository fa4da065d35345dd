"""Short fault scenarios that expose every mutant, in seconds instead of hours."""

from signal import Signals

from tests.chaos.refusals import POOLER
from tests.chaos.run import Trial
from tests.chaos.schedule import Step

_HOLD = Step(at_s=0, act="signal", target="supervisor", sent=Signals.SIGSTOP)
_SLOW = {"script_interval_ms": "60"}
_SHORT_WAITS = {"grace_s": 15.0, "rest_s": 10.0}


def _signal(at_s: float, target: str, sent: Signals, index: int = 0) -> Step:
    return Step(at_s=at_s, act="signal", target=target, sent=sent, index=index)


def _trial(num_jobs: int, steps: list[Step], **more: object) -> Trial:
    fields = {"seed": 1, "num_workers": 2, "num_clients": 24, **_SHORT_WAITS, **more}
    return Trial(num_jobs=num_jobs, steps=tuple(steps), **fields)  # type: ignore[arg-type]


ZOMBIE = _trial(
    40,
    [
        # Else it would kill the worker that is stopped for so long.
        _signal(2.9, "supervisor", Signals.SIGSTOP),
        _signal(3.0, "worker-1", Signals.SIGSTOP),
        # It has taken over by now; pause it, so that it finishes later than the zombie.
        _signal(10.0, "worker-2", Signals.SIGSTOP),
        _signal(10.1, "worker-1", Signals.SIGCONT),
        _signal(13.5, "worker-2", Signals.SIGCONT),
        _signal(15.0, "supervisor", Signals.SIGCONT),
    ],
    settings={"script_interval_ms": "120"},
    grace_s=30.0,
)
"""A worker is paused past its lease, and resumes while another runs its responses."""

LOST_WAKE_UPS = _trial(
    16,
    [
        _HOLD,
        _signal(0.1, "worker-1", Signals.SIGKILL),
        _signal(0.1, "worker-2", Signals.SIGKILL),
        Step(at_s=3.0, act="flush"),
        _signal(3.1, "supervisor", Signals.SIGCONT),
    ],
    head_start_s=0.5,
)
"""Redis loses every wake-up before a worker is up to take one."""

API_KILLS = _trial(
    200,
    [_signal(0.5 + number, "api-child", Signals.SIGKILL, number % 2) for number in range(6)],
)
"""API processes are killed right after they answered."""

QUIET = _trial(40, [])
"""No faults."""

ORPHANS = _trial(
    40,
    [
        _signal(1.9, "supervisor", Signals.SIGSTOP),
        _signal(2.0, "worker-1", Signals.SIGKILL),
    ],
    settings=_SLOW,
    grace_s=40.0,  # a chain of four takes 24 s
    heals=False,
)
"""A worker is killed while the supervisor is stopped for good, so that only its lease shows it."""

STALE_EVENTS = _trial(60, [Step(at_s=0.5 * number, act="replay_events") for number in range(1, 12)])
"""Events of running streams are published a second time."""


def _refused(name: str, seconds: float) -> list[Step]:
    strike = Step(at_s=2.0, act="strike", target=name)
    return [strike, Step(at_s=2.0 + seconds, act="mend", target=name)]


READ_ONLY = _trial(200, _refused("postgres read-only", 4.0), grace_s=30.0)
"""Postgres refuses to write for a while."""

DEMOTED = _trial(60, _refused("postgres demoted", 15.0), grace_s=30.0)
"""Sessions of Postgres stay read-only, and new ones can write."""

READONLY = _trial(60, _refused("valkey READONLY", 6.0), grace_s=30.0)
"""The broker refuses to write for a while."""

POOLED = _trial(
    150,
    [
        Step(at_s=2.0 + 8.0 * number + later_s, act=act, target=POOLER)
        for number in range(3)
        for act, later_s in (("strike", 0.0), ("mend", 1.5))
    ],
    is_pooled=True,
    grace_s=30.0,
)
"""PgBouncer, in transaction mode, is stopped and started at the same address."""

BROKEN = _trial(
    60, [Step(at_s=2.0, act="break", target=f"worker-{number}") for number in (1, 2)], grace_s=30.0
)
"""A thread of every worker fails."""

DEAF = _trial(
    60,
    [Step(at_s=2.0, act="deafen", target=f"worker-{number}") for number in (1, 2)],
    settings=_SLOW,
    grace_s=60.0,
    rest_s=20.0,
)
"""The heartbeat of every worker hangs, while all their other threads run on."""

CASES: dict[str, tuple[Trial, str]] = {
    "fencing": (ZOMBIE, "I3"),
    "repeated wake-ups": (LOST_WAKE_UPS, "I1"),
    "answer after commit": (API_KILLS, "I1"),
    "end after commit": (QUIET, "I2"),
    "database clock": (ORPHANS, "I1"),
    "sequence check": (STALE_EVENTS, "I4"),
    "every error an outage": (READ_ONLY, "no answer"),
    "new sessions": (DEMOTED, "I14"),
    "vital threads": (BROKEN, "I1"),
    "true pulse": (DEAF, "I1"),
    "patient consumer": (READONLY, "I15"),
}
"""Mutant → the scenario that exposes it, and the invariant that it breaks."""

CONTROLS: dict[str, tuple[Trial, str | None]] = {
    "a zombie": (ZOMBIE, None),
    "a zombie that does not stop by itself": (ZOMBIE, "self-stop"),
    "lost wake-ups": (LOST_WAKE_UPS, "wake-ups"),
    "kills of API processes": (API_KILLS, None),
    "an orphan": (ORPHANS, None),
    "stale events": (STALE_EVENTS, None),
    "a read-only database": (READ_ONLY, None),
    "a demoted primary": (DEMOTED, None),
    "a read-only broker": (READONLY, None),
    "a restarted pooler": (POOLED, None),
    "a lost thread": (BROKEN, None),
    "a hung heartbeat": (DEAF, None),
}
"""Scenario → the mutant to run it with, if any; none may break an invariant."""
