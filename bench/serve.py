"""Benchmark of the real model over HTTP: `python -m bench.serve`.

Greedy streams, whose prompts differ from their first words on, so that no prefix cache helps.
"""

import shlex
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import orjson
import typer

from bench.client.bodies import PATH, greedy_body
from bench.client.streams import Stream, first_delta_s, run_streams, stream_request
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError, Server, own_server, running_server

CONCURRENCIES = (1, 8, 32)
NUM_TOKENS = 64
TIMEOUT_S = 300.0
_AT_ONCE = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Tokens and times of one batch of requests that were sent together."""

    seconds: float
    num_tokens: int
    first_token_s: list[float]
    worker_cpu_s: float | None

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second, from the first request to the end of the last answer."""
        return self.num_tokens / self.seconds


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each concurrency.")] = 5,
    weights_dir: Annotated[
        Path, typer.Option(help="Converted weights; fetched into it if they are not there.")
    ] = Path(".antiphon/weights"),
    base_url: Annotated[str, typer.Option(help="A running server.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s and time to first token at 1, 8 and 32 concurrent requests."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.serve", *sys.argv[1:]]))
    if base_url:
        measures = measure(running_server(base_url), rounds)
    else:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with own_server({"ANTIPHON_ENGINE": "transformers"}, weights_dir) as server:
            measures = measure(server, rounds)
    publish(
        f"Serve: {NUM_TOKENS} greedy tokens a request over HTTP", circumstances, measures, results
    )


def measure(server: Server, rounds: int) -> list[Measure]:
    """Measure all concurrencies in every round, so that a slow period affects all alike."""
    seeds = count()
    run_round(server, 1, seeds)
    found = [
        {number: run_round(server, number, seeds) for number in CONCURRENCIES}
        for _ in range(rounds)
    ]
    measures = [
        figure
        for number in CONCURRENCIES
        for figure in _figures(number, [results[number] for results in found])
    ]
    few, many = CONCURRENCIES[0], CONCURRENCIES[-1]
    ratios = [results[many].tokens_per_s / results[few].tokens_per_s for results in found]
    gain = Measure(
        name=f"tokens/s at {many} over those at {few}", rounds=ratios, goal=Goal(at_least=4)
    )
    return [*measures, gain]


def _figures(concurrency: int, rounds: list[Round]) -> list[Measure]:
    prefix = f"{concurrency} concurrent"
    firsts = [statistics.median(result.first_token_s) * 1000 for result in rounds]
    figures = [
        Measure(name=f"{prefix}: tokens/s", rounds=[result.tokens_per_s for result in rounds]),
        Measure(name=f"{prefix}: time to first token, median of a round, ms", rounds=firsts),
        Measure(name=f"{prefix}: output tokens", rounds=[result.num_tokens for result in rounds]),
    ]
    per_cpu_s = [
        result.num_tokens / result.worker_cpu_s for result in rounds if result.worker_cpu_s
    ]
    if per_cpu_s:
        name = f"{prefix}: tokens per CPU second of workers"
        figures.append(Measure(name=name, rounds=per_cpu_s))
    return figures


def run_round(
    server: Server, concurrency: int, seeds: Iterator[int], num_tokens: int = NUM_TOKENS
) -> Round:
    """Send `concurrency` requests at once and wait for the end of all.

    Raises `BenchError` if a stream ends without text.
    """
    requests = [
        stream_request(PATH, greedy_body(next(seeds), num_tokens)) for _ in range(concurrency)
    ]
    cpu_before_s = server.worker_cpu_s()
    began = time.monotonic()
    streams = run_streams(server.address, requests, per_second=_AT_ONCE, timeout_s=TIMEOUT_S)
    seconds = time.monotonic() - began
    cpu_after_s = server.worker_cpu_s()
    first_token_s = [
        first_s for stream in streams if (first_s := first_delta_s(stream)) is not None
    ]
    if len(first_token_s) < concurrency:
        raise BenchError("a stream ended without text")
    return Round(
        seconds=seconds,
        num_tokens=sum(map(_output_tokens, streams)),
        first_token_s=first_token_s,
        worker_cpu_s=cpu_after_s - cpu_before_s if cpu_after_s and cpu_before_s else None,
    )


def _output_tokens(stream: Stream) -> int:
    """Return the output tokens in the usage of the terminal event."""
    usage = orjson.loads(stream.events()[-1].data)["response"]["usage"]
    return int(usage["output_tokens"])


if __name__ == "__main__":
    typer.run(main)
