"""Benchmark of open tabs of the dashboard: `python -m bench.tabs`.

The real model generates as much as it can, with the polling of the tabs and without it in turn.
"""

import shlex
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from bench.peers.usage import tree_cpu_s
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.serve import run_round
from bench.server import Server, own_server
from bench.tabs.poller import open_tabs

NUM_STREAMS = 32
NUM_TOKENS = 96
_GOAL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One burst, with tabs or without."""

    tokens_per_s: float
    other_cpu: float
    """CPU seconds per second of all processes but the workers."""
    num_polls: int


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of bursts.")] = 8,
    tabs: Annotated[int, typer.Option(min=1)] = 20,
    weights_dir: Annotated[Path, typer.Option(help="Converted weights.")] = Path(
        ".antiphon/weights"
    ),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure what open tabs take from the speed of a worker that has all it can do."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.tabs", *sys.argv[1:]]))
    seeds = count()
    with own_server({"ANTIPHON_ENGINE": "transformers"}, weights_dir) as server:
        _measure(server, 0, seeds)
        pairs = [_pair(server, tabs, seeds, number) for number in range(rounds)]
    publish(f"{tabs} open tabs of the dashboard", circumstances, _measures(pairs, tabs), results)


def _pair(server: Server, tabs: int, seeds: Iterator[int], number: int) -> tuple[Arm, Arm]:
    """Return a burst with tabs and one without; which comes first changes."""
    if number % 2:
        return _measure(server, tabs, seeds), _measure(server, 0, seeds)
    without = _measure(server, 0, seeds)
    return _measure(server, tabs, seeds), without


def _measure(server: Server, tabs: int, seeds: Iterator[int]) -> Arm:
    with ExitStack() as stack:
        opened = stack.enter_context(open_tabs(server.address, tabs)) if tabs else []
        before_s = tree_cpu_s(server.pid)
        result = run_round(server, NUM_STREAMS, seeds, NUM_TOKENS)
        all_s = tree_cpu_s(server.pid) - before_s
    assert result.worker_cpu_s is not None
    return Arm(
        tokens_per_s=result.tokens_per_s,
        other_cpu=(all_s - result.worker_cpu_s) / result.seconds,
        num_polls=sum(tab.num_polls for tab in opened),
    )


def _measures(pairs: list[tuple[Arm, Arm]], tabs: int) -> list[Measure]:
    ratios = [busy.tokens_per_s / idle.tokens_per_s for busy, idle in pairs]
    cpu = [100 * (busy.other_cpu - idle.other_cpu) for busy, idle in pairs]
    print(f"median ratio {statistics.median(ratios):.4f}")
    return [
        Measure(name="tokens/s without tabs", rounds=[idle.tokens_per_s for _, idle in pairs]),
        Measure(name=f"tokens/s with {tabs} tabs", rounds=[busy.tokens_per_s for busy, _ in pairs]),
        Measure(name="with over without, %", rounds=[100 * ratio for ratio in ratios],
                goal=Goal(at_least=100 * _GOAL)),
        Measure(name="polls in a burst", rounds=[busy.num_polls for busy, _ in pairs]),
        Measure(name="CPU of the polls, % of one core", rounds=cpu),
    ]  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
