"""Times that the service takes to be back after a server has refused to work."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.cluster import Cluster
from tests.chaos.refusals import POSTGRES, VALKEY, ends_by_itself
from tests.chaos.refusing import Refusals
from tests.chaos.schedule import Step
from tests.chaos.web import PATH, Http, Unreachable
from tests.chaos.worker_kills import WorkerKills

_GIVE_UP_S = 30.0
_RETRY_S = 0.05
_REFUSED_S = 4.0
_SETTLED_S = 12.0
"""Seconds after which a fault of another kind no longer has an effect."""
PROBE = {"input": "probe", "max_output_tokens": 1, "temperature": 0}
"""Request in the foreground: it needs the API, a worker and the database."""


@dataclass(slots=True)
class Return:
    """End of one refusal, and the time until a new response was generated."""

    name: str
    ended_at: float
    seconds: float | None = None
    """None while the service is not back."""
    is_disturbed: bool = False
    """True if another fault began meanwhile, or a worker was killed by its job.

    The time then says nothing.
    """

    def __str__(self) -> str:
        seconds = "not back" if self.seconds is None else f"{self.seconds:.2f} s"
        return f"{self.name}: {seconds}{' (disturbed)' if self.is_disturbed else ''}"


class Returns:
    """Watch of the service from the end of each refusal on."""

    def __init__(self, web: Http, kills: Callable[[], WorkerKills]) -> None:
        """Create the watch; `kills` returns the workers that were killed, also by their jobs."""
        self._web = web
        self._kills = kills
        self._threads: list[threading.Thread] = []
        self._open: set[str] = set()
        """Refusals and other faults that are in force."""
        self._other_at = -math.inf
        """Time of the last fault of another kind."""
        self.all: list[Return] = []

    def disturb(self, step: Step) -> None:
        """Note that a step begins: what returns now is not measured."""
        if step.act == "strike":
            self._open.add(step.target)
        elif step.act != "mend":
            self._other_at = time.monotonic()
        for known in self.all:
            if known.seconds is None and known.name != step.target:
                known.is_disturbed = True

    def watch(self, step: Step) -> None:
        """Measure the return after a step that has ended a refusal."""
        if step.act == "mend":
            self._open.discard(step.target)
        if ends_by_itself(step.target) != (step.act == "strike"):
            return
        now = time.monotonic()
        is_disturbed = bool(self._open - {step.target}) or now < self._other_at + _SETTLED_S
        found = Return(step.target, now, is_disturbed=is_disturbed)
        self.all.append(found)
        thread = threading.Thread(target=self._measure, args=[found], daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for all measurements."""
        for thread in self._threads:
            thread.join()

    def slow(self, limit_s: float) -> list[Return]:
        """Return those that took longer than `limit_s`, without others' influence."""
        return [
            known
            for known in self.all
            if not known.is_disturbed and (known.seconds or math.inf) > limit_s
        ]

    def _measure(self, found: Return) -> None:
        before = self._kills()
        seconds = wait_until_served(self._web, since=found.ended_at)
        found.is_disturbed |= is_disturbed_by(before, self._kills())
        found.seconds = seconds


def is_disturbed_by(before: WorkerKills, after: WorkerKills) -> bool:
    """Return True if a worker was away, or killed, between two looks.

    Jobs with the poison kill their workers, up to all of them; the supervisor then waits for some
    seconds before it starts them again.
    """
    return before.is_any_away or after.num_kills > before.num_kills


def wait_until_served(web: Http, *, since: float) -> float | None:
    """Return the seconds from `since` until a new response is complete; None if it takes long."""
    while time.monotonic() < since + _GIVE_UP_S:
        try:
            answer = web.request("POST", PATH, PROBE)
        except Unreachable:
            answer = None
        if answer is not None and answer.body.get("status") in ("completed", "incomplete"):
            return time.monotonic() - since
        time.sleep(_RETRY_S)
    return None


def after_refusal(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure each refusal of Postgres and Valkey ending → a new response in the foreground.

    The refusals take turns; their order is the same in every run.
    """
    refusals = Refusals(cluster)
    names = itertools.cycle((*POSTGRES, *VALKEY))
    try:
        for name in itertools.islice(names, count):
            assert refusals.strike(name), name
            ended_at = time.monotonic()
            if not ends_by_itself(name):
                time.sleep(_REFUSED_S)
                assert refusals.mend(name), name
                ended_at = time.monotonic()
            seconds = wait_until_served(cluster.web, since=ended_at)
            assert seconds is not None, name
            yield seconds
            refusals.mend(name)
            time.sleep(1)
    finally:
        refusals.mend_all()
