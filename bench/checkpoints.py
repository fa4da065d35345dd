"""Benchmark of the throughput cost of checkpoints: `python -m bench.checkpoints`.

Runs two servers with the real model, one with checkpoints and one without. They are loaded in turn,
so that a slow period of the machine affects both alike; the other one is idle meanwhile.
"""

import shlex
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.serve import Round, run_round
from bench.server import Server, own_server

CONCURRENCY = 32
NUM_TOKENS = 128
"""Output tokens per request: seconds of work, so every response is checkpointed repeatedly."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each server.")] = 7,
    weights_dir: Annotated[
        Path, typer.Option(help="Converted weights; fetched into it if they are not there.")
    ] = Path(".antiphon/weights"),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s at 32 concurrent requests with checkpoints and without."""
    circumstances = Circumstances.now(
        shlex.join(["python", "-m", "bench.checkpoints", *sys.argv[1:]])
    )
    weights_dir.mkdir(parents=True, exist_ok=True)
    settings = {"ANTIPHON_ENGINE": "transformers"}
    without = settings | {"ANTIPHON_CHECKPOINT_SECONDS": "0"}
    with own_server(settings, weights_dir) as ours, own_server(without, weights_dir) as bare:
        measures = measure(ours, bare, rounds)
    publish(
        f"Checkpoints: {CONCURRENCY} greedy streams over HTTP", circumstances, measures, results
    )


def measure(ours: Server, bare: Server, rounds: int) -> list[Measure]:
    """Return the speeds and their ratios within pairs of rounds.

    The server that is measured first alternates from pair to pair.
    """
    seeds = count()
    for server in (ours, bare):
        run_round(server, CONCURRENCY, seeds, NUM_TOKENS)
    pairs = [_pair(ours, bare, seeds, is_first=number % 2 == 0) for number in range(rounds)]
    return [
        Measure(name="tokens/s with checkpoints", rounds=[one.tokens_per_s for one, _ in pairs]),
        Measure(name="tokens/s without", rounds=[other.tokens_per_s for _, other in pairs]),
        Measure(
            name="tokens/s with over without",
            rounds=[one.tokens_per_s / other.tokens_per_s for one, other in pairs],
            goal=Goal(at_least=0.95),
        ),
        Measure(
            name="tokens per CPU second of the worker, with over without",
            rounds=[_per_cpu_s(one) / _per_cpu_s(other) for one, other in pairs],
        ),
    ]


def _pair(
    ours: Server, bare: Server, seeds: Iterator[int], *, is_first: bool
) -> tuple[Round, Round]:
    order = (ours, bare) if is_first else (bare, ours)
    one, other = (run_round(server, CONCURRENCY, seeds, NUM_TOKENS) for server in order)
    return (one, other) if is_first else (other, one)


def _per_cpu_s(round_: Round) -> float:
    assert round_.worker_cpu_s is not None
    return round_.num_tokens / round_.worker_cpu_s


if __name__ == "__main__":
    typer.run(main)
