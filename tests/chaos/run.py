"""One chaos run: cluster, clients and nemesis, then the check of the invariants."""

import math
import pickle
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.chaos.audit import Kept, collect, install_audit, wait_for_rest, wait_for_sweep
from tests.chaos.cluster import MAX_SEQUENCES, Cluster, running
from tests.chaos.driver import Driver
from tests.chaos.history import History
from tests.chaos.journal import Record
from tests.chaos.ledger import check
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import draw_plan
from tests.chaos.rank_faults import describe
from tests.chaos.returns import Return
from tests.chaos.schedule import Step, draw_schedule
from tests.chaos.with_vllm import answers_of, network_of, settings_of
from tests.pgbouncer import PgBouncer

_SWEPT_WITHIN_S = 20.0
_ENDED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Parameters of a run."""

    seed: int
    num_jobs: int
    engine: Literal["scripted", "vllm"] = "scripted"
    num_clients: int = 32
    num_workers: int = 4
    every_s: tuple[float, float] = (5.0, 15.0)
    """Shortest and longest seconds between two faults."""
    faults_for_s: float = math.inf
    """Seconds after which the nemesis stops, even if not all jobs have begun."""
    only: str = ""
    """Prefix of the names of the faults to use, all if empty."""
    steps: tuple[Step, ...] | None = None
    """Steps of the nemesis; drawn from the seed if None."""
    heals: bool = True
    """False if what these steps stopped stays stopped until the end."""
    head_start_s: float = 0.0
    """Seconds between the start of the nemesis and that of the clients."""
    grace_s: float = 45.0
    """Seconds after the last fault within which every client must finish."""
    rest_s: float = 45.0
    """Seconds after that within which every response must end."""
    return_s: float = 5.0
    """Seconds after a refusal within which service must be back."""
    mutant: str | None = None
    is_pooled: bool = False
    """True if PgBouncer is between the server and its database."""
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def slice(cls, seed: int) -> "Trial":
        """Return a run of the size used in continuous integration."""
        return cls(seed=seed, num_jobs=500, every_s=(2.5, 5.0), faults_for_s=40.0)

    @classmethod
    def with_vllm(cls, seed: int) -> "Trial":
        """Return a run with vLLM, with which a worker takes most of a minute to start."""
        return cls(
            seed=seed,
            num_jobs=500,
            engine="vllm",
            num_clients=6,
            num_workers=2,
            every_s=(15.0, 30.0),
            faults_for_s=420.0,
            grace_s=240.0,
            rest_s=120.0,
            return_s=math.inf,  # it may find all workers at their start
        )

    def schedule(self) -> Iterator[Step]:
        """Yield the steps of the nemesis in order of time."""
        if self.steps is not None:
            return iter(sorted(self.steps, key=lambda step: step.at_s))
        return draw_schedule(
            self.seed,
            num_workers=self.num_workers,
            every_s=self.every_s,
            only=self.only,
            has_ranks=self.engine == "vllm",
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Result of a run."""

    trial: Trial
    breaks: dict[str, list[str]]
    """Violations by invariant."""
    nemesis_log: list[str]
    journal: list[Record]
    kept: Kept
    num_texts_lost: int
    """Responses that met the known limit (docs/guarantees.md)."""
    returns: list[Return]
    rank_faults: Counter[str]
    """Faults of the processes of vLLM (`RankFaults.counts`)."""
    seconds: float
    phases: dict[str, float]
    """Seconds by phase."""

    def report(self) -> str:
        """Return a readable report that begins with the seed, to repeat the run."""
        trial = self.trial
        lines = [
            f"chaos seed {trial.seed}: {len(self.journal)} jobs in {self.seconds:.0f} s, "
            f"{len(self.nemesis_log)} steps of the nemesis, {summary(self.kept)}",
            f"  {self.num_texts_lost} ended by others than a worker, their log lost meanwhile",
            "  " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.phases.items()),
            *([f"  {describe(self.rank_faults)}"] if trial.engine == "vllm" else []),
            *(f"  back after {known}" for known in self.returns),
            *(f"  {line}" for line in self.nemesis_log),
        ]
        for invariant, breaks in self.breaks.items():
            lines.append(f"{invariant}: {len(breaks)} broken")
            lines += [f"  {violation}" for violation in breaks[:10]]
        if not self.breaks:
            lines.append("every invariant holds")
        return "\n".join(lines)


def summary(kept: Kept) -> str:
    """Summarize the statuses of all responses, and the number that had several attempts."""
    counts: dict[str, int] = {}
    for row in kept.rows.values():
        counts[row.status] = counts.get(row.status, 0) + 1
    num_again = sum(row.attempt > 1 for row in kept.rows.values())
    ended = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{ended}; {num_again} taken up again"


class Phases:
    """Stopwatch of the phases of a run."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def end(self, name: str) -> None:
        """End the current phase, under this name."""
        now = time.monotonic()
        self.seconds[name], self._last = now - self._last, now

    def total(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began


def run_trial(trial: Trial, keep: Path | None = None) -> Outcome:
    """Run a trial and check the invariants; the cluster is deleted after.

    With a folder `keep`, its logs and the pickled history are saved there.
    """
    phases = Phases()
    with (
        network_of(trial.engine) as network,
        PgBouncer.with_postgres() if trial.is_pooled else nullcontext() as pooler,
        running(
            num_workers=trial.num_workers,
            mutant=trial.mutant,
            pooler=pooler,
            **trial.settings | settings_of(network),  # type: ignore[arg-type]
        ) as cluster,
    ):
        install_audit(cluster)
        phases.end("start")
        driver, nemesis = _strike(cluster, trial, phases)
        num_unfinished = wait_for_rest(cluster, within_s=trial.rest_s)
        deleted = {record.response_id for record in driver.journal if record.deleted_at is not None}
        wait_for_sweep(cluster, deleted, within_s=_SWEPT_WITHIN_S)
        phases.end("rest")
        kept = collect(cluster)
        answers = answers_of(network, kept, (record.job for record in driver.journal))
        num_clean_exits = cluster.num_clean_exits()
        num_orphans = cluster.num_orphans(within_s=_ENDED_WITHIN_S)
        if keep is not None:
            shutil.copytree(cluster.data_dir / "log", keep, dirs_exist_ok=True)
    phases.end("stop")
    history = History(
        journal=driver.journal,
        kept=kept,
        num_unfinished=num_unfinished,
        num_parallel=trial.num_workers * MAX_SEQUENCES,
        log_lost_at=tuple(nemesis.log_lost_at),
        slow_returns=tuple(map(str, nemesis.returns.slow(trial.return_s))),
        num_clean_exits=num_clean_exits,
        num_terms=nemesis.num_terms,
        answers=answers,
        num_orphans=num_orphans,
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
        returns=nemesis.returns.all,
        rank_faults=nemesis.ranks.counts,
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
        nemesis.finish(heals=trial.heals)
    phases.end("heal")
    driver.join(trial.grace_s)
    phases.end("last clients")
    return driver, nemesis
