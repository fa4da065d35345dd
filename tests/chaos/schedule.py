"""Random fault schedule, reproducible from its seed."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from signal import Signals

from tests.chaos.refusals import POSTGRES, VALKEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of the nemesis."""

    at_s: float
    """Seconds after the start of the nemesis."""
    act: str
    """`signal`, `strike` or `mend` of a refusal, an order to a worker, or a method of `Nemesis`."""
    target: str = ""
    sent: Signals = Signals.SIGKILL
    index: int = 0
    """Number of the child, for a target with several."""
    lasts_s: float = 0.0
    """Seconds until a rank that is stopped is continued, since it may be stopped later than due."""

    def __str__(self) -> str:
        what = f"{self.sent.name} {self.target}" if self.act == "signal" else self._order
        return f"{self.at_s:7.2f} s  {what}{f'/{self.index}' if self.index else ''}"

    @property
    def _order(self) -> str:
        return f"{self.act} {self.target}".strip()


@dataclass(frozen=True, slots=True)
class Cast:
    """Possible targets of faults, and the random generator that picks them."""

    dice: random.Random
    num_workers: int

    def worker(self) -> str:
        """Return the name of a random worker."""
        return f"worker-{self.dice.randint(1, self.num_workers)}"

    def rank(self) -> str:
        """Return the name of the processes in which vLLM computes a random worker's model."""
        return f"{self.worker()}-rank"


Fault = Callable[[Cast], list[Step]]


def draw_schedule(
    seed: int,
    *,
    num_workers: int,
    every_s: tuple[float, float],
    only: str = "",
    has_ranks: bool = False,
) -> Iterator[Step]:
    """Yield steps in order of time, without end.

    The time between faults is drawn from `every_s` (shortest and longest, in seconds). `only` keeps
    the faults whose name begins with it. With `has_ranks`, processes of vLLM are struck, too.
    """
    dice = random.Random(f"nemesis {seed}")
    cast = Cast(dice, num_workers)
    known = (*FAULTS, *RANK_FAULTS) if has_ranks else FAULTS
    faults = [(fault, weight) for name, fault, weight in known if name.startswith(only)]
    pending: list[Step] = []
    now = 1.0
    for _ in count():
        due = sorted((step for step in pending if step.at_s <= now), key=lambda step: step.at_s)
        pending = [step for step in pending if step.at_s > now]
        yield from due
        [(fault, _)] = dice.choices(faults, [weight for _, weight in faults])
        steps = [replace(step, at_s=now + step.at_s) for step in fault(cast)]
        yield steps[0]
        pending += steps[1:]
        now += dice.uniform(*every_s)


def _signal(target: Callable[[Cast], str] | str, number: Signals) -> Fault:
    def fault(cast: Cast) -> list[Step]:
        name = target if isinstance(target, str) else target(cast)
        index = cast.dice.randint(0, 1) if name.endswith(("-child", "-rank")) else 0
        return [Step(at_s=0, act="signal", target=name, sent=number, index=index)]

    return fault


def _freeze(target: Callable[[Cast], str] | str, shortest_s: float, longest_s: float) -> Fault:
    """Return a fault of SIGSTOP and, after a random time, SIGCONT."""

    def fault(cast: Cast) -> list[Step]:
        [stop] = _signal(target, Signals.SIGSTOP)(cast)
        after_s = cast.dice.uniform(shortest_s, longest_s)
        return [stop, replace(stop, at_s=after_s, sent=Signals.SIGCONT)]

    return fault


def _freeze_rank(cast: Cast) -> list[Step]:
    [stop] = _signal(Cast.rank, Signals.SIGSTOP)(cast)
    return [replace(stop, lasts_s=cast.dice.uniform(2, 12))]


def _kill_supervisor(cast: Cast) -> list[Step]:
    """Kill the supervisor, whose children then stop by themselves, and start it again."""
    kill = Step(at_s=0, act="signal", target="supervisor", sent=Signals.SIGKILL)
    return [kill, Step(at_s=cast.dice.uniform(0.2, 2), act="start_again")]


def _outage(target: str) -> Fault:
    """Return a fault that kills a part while the supervisor is stopped, so that it stays down."""

    def fault(cast: Cast) -> list[Step]:
        hold = Step(at_s=0, act="signal", target="supervisor", sent=Signals.SIGSTOP)
        name = cast.worker() if target == "worker" else target
        kill = Step(at_s=0.05, act="signal", target=name, sent=Signals.SIGKILL)
        after_s = cast.dice.uniform(2, 7)
        return [hold, kill, replace(hold, at_s=after_s, sent=Signals.SIGCONT)]

    return fault


def _refusal(name: str, shortest_s: float = 2, longest_s: float = 6) -> Fault:
    """Return a fault in which a server refuses to work for a random time."""

    def fault(cast: Cast) -> list[Step]:
        strike = Step(at_s=0, act="strike", target=name)
        after_s = cast.dice.uniform(shortest_s, longest_s)
        return [strike, replace(strike, at_s=after_s, act="mend")]

    return fault


def _act(name: str) -> Fault:
    return lambda _: [Step(at_s=0, act=name)]


def _roll(cast: Cast) -> list[Step]:
    """Stop every worker in turn, like a deployment."""
    return [
        Step(at_s=number * 1.5, act="signal", target=f"worker-{number + 1}", sent=Signals.SIGTERM)
        for number in range(cast.num_workers)
    ]


def _kill_all(_: Cast) -> list[Step]:
    """Kill all processes, like a power cut."""
    kill = Step(at_s=0, act="signal", sent=Signals.SIGKILL)
    parts = ("supervisor", "api", "maintenance", "valkey", "postgres", "worker-1", "worker-2")
    steps = [replace(kill, target=name, at_s=0.01 * place) for place, name in enumerate(parts)]
    return [*steps, Step(at_s=1.0, act="start_again")]


FAULTS: tuple[tuple[str, Fault, int], ...] = (
    ("worker kill", _signal(Cast.worker, Signals.SIGKILL), 8),
    ("worker freeze, short", _freeze(Cast.worker, 0.5, 4), 3),
    ("worker freeze, past its lease", _freeze(Cast.worker, 5.5, 9), 5),
    ("worker term", _signal(Cast.worker, Signals.SIGTERM), 4),
    ("worker roll", _roll, 1),
    ("worker outage", _outage("worker"), 2),
    ("api kill", _signal("api", Signals.SIGKILL), 2),
    ("api child kill", _signal("api-child", Signals.SIGKILL), 4),
    ("api child freeze", _freeze("api-child", 1, 5), 2),
    ("api term", _signal("api", Signals.SIGTERM), 1),
    ("supervisor kill", _kill_supervisor, 1),
    ("supervisor freeze", _freeze("supervisor", 2, 6), 1),
    ("maintenance kill", _signal("maintenance", Signals.SIGKILL), 2),
    ("maintenance freeze", _freeze("maintenance", 2, 6), 1),
    ("valkey kill", _signal("valkey", Signals.SIGKILL), 3),
    ("valkey term", _signal("valkey", Signals.SIGTERM), 1),
    ("valkey freeze", _freeze("valkey", 1, 7), 2),
    ("valkey outage", _outage("valkey"), 2),
    ("valkey flush", _act("flush"), 4),
    ("postgres immediate restart", _signal("postgres", Signals.SIGQUIT), 2),
    ("postgres fast restart", _signal("postgres", Signals.SIGINT), 2),
    ("postgres freeze", _freeze("postgres", 1, 4), 1),
    ("postgres outage", _outage("postgres"), 1),
    ("messages doubled", _act("double_wake_ups"), 2),
    ("messages stale", _act("replay_wake_ups"), 2),
    ("messages stale events", _act("replay_events"), 2),
    ("power cut", _kill_all, 1),
    *((name, _refusal(name), 1) for name in (*POSTGRES, *VALKEY)),
)
"""Name, fault, and relative frequency."""

RANK_FAULTS: tuple[tuple[str, Fault, int], ...] = (
    ("rank kill", _signal(Cast.rank, Signals.SIGKILL), 30),
    ("rank freeze", _freeze_rank, 8),
)
"""Faults of the processes in which vLLM computes a part of a model."""

assert len({name for name, _, _ in FAULTS}) == len(FAULTS)
