"""Soak test, hours at saturation: `python -m bench.soak --minutes 120`.

As many clients as the worker has sequences send requests without a pause: greedy, sampled, and with
a JSON schema. Memory and CPU time per token must not grow: the last quarter of the run is compared
with the second, because caches fill in the first.
"""

import itertools
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bench.client.bodies import PATH, story_prompt
from bench.client.load import post_request, run_closed_loop
from bench.peers.usage import tree_cpu_s, tree_memory_bytes
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError, Server, own_server

_WEIGHTS = Path(".antiphon/weights")
_INTERVAL_S = 60.0
_MIB = 2**20
_SCHEMA = {"type": "array", "items": {"type": "string"}, "minItems": 1000}
_KINDS: tuple[dict[str, Any], ...] = (
    {"temperature": 0},
    {"temperature": 0.8, "top_p": 0.95},
    {"text": {"format": {"type": "json_schema", "name": "endless", "schema": _SCHEMA}}},
)


@dataclass(frozen=True, slots=True)
class Minute:
    """Speed and memory of one interval of a minute."""

    tokens_per_s: float
    tokens_per_cpu_s: float
    """Output tokens per CPU second of the worker, independent of other load on the machine."""
    worker_bytes: int
    all_bytes: int


def main(
    minutes: Annotated[int, typer.Option(min=4)] = 120,
    streams: Annotated[int, typer.Option(min=1)] = 64,
    num_tokens: Annotated[int, typer.Option(min=8, help="Most of an answer.")] = 64,
    dtype: Annotated[str, typer.Option(help="A value of ANTIPHON_DTYPE.")] = "auto",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Keep a server saturated and compare its last quarter with its second."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.soak", *sys.argv[1:]]))
    requests = _requests(num_tokens)
    settings = {"ANTIPHON_ENGINE": "transformers", "ANTIPHON_DTYPE": dtype}
    with own_server(settings, _WEIGHTS) as server:
        found = [_minute(server, requests, streams) for _ in range(minutes)]
    quarter = len(found) // 4
    measures = _measures(found[quarter : 2 * quarter], found[-quarter:])
    publish(
        f"Soak: {streams} clients for {minutes} minutes, {dtype}", circumstances, measures, results
    )


def _requests(num_tokens: int) -> Iterator[bytes]:
    for seed in itertools.count():
        kind = _KINDS[seed % len(_KINDS)]
        fields = {"input": story_prompt(seed), "max_output_tokens": num_tokens, "seed": seed}
        yield post_request(PATH, orjson.dumps(fields | kind))


def _minute(server: Server, requests: Iterator[bytes], streams: int) -> Minute:
    assert server.data_dir is not None
    run = server.data_dir / "run"
    worker, supervisor = (
        int((run / f"{name}.pid").read_text()) for name in ("worker-1", "supervisor")
    )
    began = tree_cpu_s(worker)
    answers = run_closed_loop(
        server.address, requests, num_connections=streams, seconds=_INTERVAL_S
    )
    if answers.num_failed:
        raise BenchError(f"{answers.num_failed} answers are no 200")
    spent = tree_cpu_s(worker) - began
    usages = (orjson.loads(body)["usage"]["output_tokens"] for body in answers.bodies)
    num_tokens = sum(usages)
    return Minute(
        tokens_per_s=num_tokens / answers.seconds,
        tokens_per_cpu_s=num_tokens / spent,
        worker_bytes=tree_memory_bytes(worker),
        all_bytes=tree_memory_bytes(supervisor),
    )


def _measures(early: Sequence[Minute], late: Sequence[Minute]) -> list[Measure]:
    def over(field: str) -> float:
        first, last = (
            statistics.median(getattr(minute, field) for minute in part) for part in (early, late)
        )
        return float(last / first)

    return [
        Measure(name="tokens/s, last quarter", rounds=[minute.tokens_per_s for minute in late]),
        Measure(
            name="worker's memory, last quarter, MiB",
            rounds=[minute.worker_bytes / _MIB for minute in late],
        ),
        Measure(
            name="all memory, last quarter, MiB",
            rounds=[minute.all_bytes / _MIB for minute in late],
        ),
        Measure(
            name="worker's memory, last over second quarter",
            rounds=[over("worker_bytes")],
            goal=Goal(at_most=1.05),
        ),
        Measure(
            name="tokens per CPU second of the worker, last over second quarter",
            rounds=[over("tokens_per_cpu_s")],
            goal=Goal(at_least=0.95),
        ),
    ]


if __name__ == "__main__":
    typer.run(main)
