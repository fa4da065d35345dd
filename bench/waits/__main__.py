"""Benchmark of forecasts: `python -m bench.waits`.

A day of load of six projects is replayed in simulated time, and what was forecast for responses is
compared with how long they have waited.
"""

import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.fairness.tenants import tenants_of
from bench.report import RESULTS, Circumstances, Goal, Measure, percentile, publish
from bench.server import own_server
from bench.waits.day import PROFILES, arrivals
from bench.waits.replay import Replay, Sample, add_projects

LEAST_WAIT_S = 10.0
"""Shorter waits do not count."""
_SETTINGS = {"ANTIPHON_ENGINE": "scripted"}


def main(
    days: Annotated[int, typer.Option(min=1, help="Days, each of another seed.")] = 3,
    first_seed: Annotated[int, typer.Option(help="That of the first day.")] = 0,
    hours: Annotated[float, typer.Option(help="Of each day, from its beginning.")] = 24.0,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure the error of forecasts over days of load."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.waits", *sys.argv[1:]]))
    found: list[list[Sample]] = []
    with own_server(_SETTINGS) as server, tenants_of(server) as tenants:
        for seed in range(first_seed, first_seed + days):
            add_projects(tenants)
            replay = Replay(tenants, seed)
            replay.run([each for each in arrivals(seed) if each.at < hours * 3600])
            found.append([s for s in replay.samples if s.wait_s > LEAST_WAIT_S])
    publish("Waits: forecasts over a replayed day", circumstances, _measures(found), results)


def _measures(days: Sequence[Sequence[Sample]]) -> list[Measure]:
    goal = Goal(at_most=25)
    measures = [
        _measure("absolute error p50, % of the wait", days, _median_error, goal),
        _measure("absolute error p90, % of the wait", days, lambda s: percentile(_errors(s), 90)),
        _measure("signed error p50, %", days, lambda s: statistics.median(map(_signed, s))),
        _measure("wait p50, s", days, lambda s: statistics.median(each.wait_s for each in s)),
        _measure("responses looked at", days, lambda s: float(len(s))),
    ]
    for profile in PROFILES:
        own = [[s for s in day if s.project_id == profile.project_id] for day in days]
        if any(own):
            name = f"{profile.project_id}: absolute error p50, %"
            measures.append(_measure(name, [day for day in own if day], _median_error))
    return measures


def _measure(
    name: str,
    days: Sequence[Sequence[Sample]],
    measure: Callable[[Sequence[Sample]], float],
    goal: Goal | None = None,
) -> Measure:
    return Measure(name=name, rounds=[measure(day) for day in days], goal=goal)


def _median_error(samples: Sequence[Sample]) -> float:
    return statistics.median(_errors(samples))


def _errors(samples: Sequence[Sample]) -> list[float]:
    return [abs(_signed(sample)) for sample in samples]


def _signed(sample: Sample) -> float:
    return 100 * (sample.eta_s - sample.wait_s) / sample.wait_s


if __name__ == "__main__":
    typer.run(main)
