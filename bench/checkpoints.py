"""What checkpoints cost: `python -m bench.checkpoints`.

Two servers with the real model, one of which makes none; they take turns, so that a slow minute
hits both alike, and the one that waits does nothing.
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
"""Some seconds of work, so that every response is checkpointed more than once."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each server.")] = 7,
    weights_dir: Annotated[
        Path, typer.Option(help="Converted weights; fetched into it if they are not there.")
    ] = Path(".antiphon/weights"),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s at 32 concurrent requests with checkpoints and without."""
    where = Circumstances.now(shlex.join(["python", "-m", "bench.checkpoints", *sys.argv[1:]]))
    weights_dir.mkdir(parents=True, exist_ok=True)
    settings = {"ANTIPHON_ENGINE": "transformers"}
    without = settings | {"ANTIPHON_CHECKPOINT_SECONDS": "0"}
    with own_server(settings, weights_dir) as ours, own_server(without, weights_dir) as bare:
        measures = measure(ours, bare, rounds)
    publish(f"Checkpoints: {CONCURRENCY} greedy streams over HTTP", where, measures, results)


def measure(ours: Server, bare: Server, rounds: int) -> list[Measure]:
    """Ratios within pairs; which of the two begins changes from pair to pair."""
    seeds = count()
    for each in (ours, bare):
        run_round(each, CONCURRENCY, seeds, NUM_TOKENS)
    pairs = [_pair(ours, bare, seeds, is_first=number % 2 == 0) for number in range(rounds)]
    return [
        Measure(name="tokens/s with checkpoints", rounds=[each.tokens_per_s for each, _ in pairs]),
        Measure(name="tokens/s without", rounds=[each.tokens_per_s for _, each in pairs]),
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
    one, other = (run_round(each, CONCURRENCY, seeds, NUM_TOKENS) for each in order)
    return (one, other) if is_first else (other, one)


def _per_cpu_s(found: Round) -> float:
    assert found.worker_cpu_s is not None
    return found.num_tokens / found.worker_cpu_s


if __name__ == "__main__":
    typer.run(main)
