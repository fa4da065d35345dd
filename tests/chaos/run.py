"""One run: a cluster, clients, a nemesis; then rest, and the ledger. `python -m tests.chaos`."""

import math
import pickle
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.audit import Kept, collect, install_audit, wait_for_rest, wait_for_sweep
from tests.chaos.cluster import MAX_SEQUENCES, Cluster, running
from tests.chaos.driver import Driver
from tests.chaos.history import History
from tests.chaos.journal import Record
from tests.chaos.ledger import check
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import draw_plan
from tests.chaos.schedule import Step, draw_schedule

_SWEPT_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is run."""

    seed: int
    num_jobs: int
    num_clients: int = 32
    num_workers: int = 4
    every_s: tuple[float, float] = (5.0, 15.0)
    """Shortest and longest time between two faults."""
    faults_for_s: float = math.inf
    """After so long the nemesis rests, though there are still jobs to begin."""
    only: str = ""
    """Faults whose name begins so, all if empty."""
    steps: tuple[Step, ...] | None = None
    """What the nemesis does; drawn from the seed if not given."""
    head_start_s: float = 0.0
    """Of the nemesis before the clients."""
    grace_s: float = 45.0
    """How long after the last fault every client must have come to its end."""
    rest_s: float = 45.0
    """How long after that every response must have ended."""
    mutant: str | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def slice(cls, seed: int) -> "Trial":
        """Of the size that the continuous integration runs."""
        return cls(seed=seed, num_jobs=500, every_s=(2.5, 5.0), faults_for_s=40.0)

    def schedule(self) -> Iterator[Step]:
        """The nemesis' steps in order of time."""
        if self.steps is not None:
            return iter(sorted(self.steps, key=lambda step: step.at_s))
        return draw_schedule(
            self.seed, num_workers=self.num_workers, every_s=self.every_s, only=self.only
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    trial: Trial
    breaks: dict[str, list[str]]
    """Invariant → what breaks it."""
    nemesis_log: list[str]
    journal: list[Record]
    kept: Kept
    num_texts_lost: int
    """Responses that met the known limit (docs/guarantees.md)."""
    seconds: float
    phases: dict[str, float]
    """What it spent its seconds on."""

    def report(self) -> str:
        """For people: the seed first, everything that is needed to do it again."""
        trial = self.trial
        lines = [
            f"chaos seed {trial.seed}: {len(self.journal)} jobs in {self.seconds:.0f} s, "
            f"{len(self.nemesis_log)} steps of the nemesis, {summary(self.kept)}",
            f"  {self.num_texts_lost} ended by others than a worker, their log lost meanwhile",
            "  " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.phases.items()),
            *(f"  {line}" for line in self.nemesis_log),
        ]
        for invariant, breaks in self.breaks.items():
            lines.append(f"{invariant}: {len(breaks)} broken")
            lines += [f"  {each}" for each in breaks[:10]]
        if not self.breaks:
            lines.append("every invariant holds")
        return "\n".join(lines)


def summary(kept: Kept) -> str:
    """How the responses ended, and how often they were claimed."""
    counts: dict[str, int] = {}
    for row in kept.rows.values():
        counts[row.status] = counts.get(row.status, 0) + 1
    num_again = sum(row.attempt > 1 for row in kept.rows.values())
    ended = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{ended}; {num_again} taken up again"


class Phases:
    """How long each part of a run took."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def end(self, name: str) -> None:
        """The part since the last one was this."""
        now = time.monotonic()
        self.seconds[name], self._last = now - self._last, now

    def total(self) -> float:
        """Of all."""
        return time.monotonic() - self._began


def run_trial(trial: Trial, keep: Path | None = None) -> Outcome:
    """Run it; the cluster is gone afterwards, but for its logs if there is a folder to keep them.

    The folder gets the history too, pickled.
    """
    phases = Phases()
    with running(num_workers=trial.num_workers, mutant=trial.mutant, **trial.settings) as cluster:
        install_audit(cluster)
        phases.end("start")
        driver, nemesis = _strike(cluster, trial, phases)
        num_unfinished = wait_for_rest(cluster, within_s=trial.rest_s)
        deleted = {each.response_id for each in driver.journal if each.deleted_at is not None}
        wait_for_sweep(cluster, deleted, within_s=_SWEPT_WITHIN_S)
        phases.end("rest")
        kept = collect(cluster)
        if keep is not None:
            shutil.copytree(cluster.data_dir / "log", keep, dirs_exist_ok=True)
    phases.end("stop")
    history = History(
        journal=driver.journal,
        kept=kept,
        num_unfinished=num_unfinished,
        num_parallel=trial.num_workers * MAX_SEQUENCES,
        log_lost_at=tuple(nemesis.log_lost_at),
    )
    if keep is not None:
        (keep / "history.pickle").write_bytes(pickle.dumps(history))
    return Outcome(
        trial=trial,
        breaks=check(history),
        nemesis_log=nemesis.log,
        journal=driver.journal,
        kept=kept,
        num_texts_lost=sum(map(history.text_is_lost, history.journal)),
        seconds=phases.total(),
        phases=phases.seconds,
    )


def _strike(cluster: Cluster, trial: Trial, phases: Phases) -> tuple[Driver, Nemesis]:
    plan = draw_plan(trial.seed, trial.num_jobs)
    driver = Driver(cluster.web, plan, seed=trial.seed, num_clients=trial.num_clients)
    nemesis = Nemesis(cluster, trial.schedule(), driver.journal)
    nemesis.start()
    time.sleep(trial.head_start_s)
    driver.start()
    if trial.steps is None:
        driver.wait_until_all_begun(trial.faults_for_s)
        phases.end("faults")
        nemesis.stop()
        driver.wait_until_all_begun()
    else:
        nemesis.finish()
    phases.end("heal")
    driver.join(trial.grace_s)
    phases.end("last clients")
    return driver, nemesis
