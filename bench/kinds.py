"""Benchmark of sampled, constrained and chat requests over HTTP: `python -m bench.kinds`.

Measures the cost of sampling and of grammars at 32 streams, per CPU second of all processes, and
the number of prompt tokens of a chat that each turn computes again.
"""

import itertools
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bench.client.bodies import PATH, greedy_body
from bench.client.streams import run_streams, stream_request
from bench.peers.usage import tree_cpu_s
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError, Server, own_server

MANY = 32
WARM_UP = 8
NUM_TURNS = 10
TIMEOUT_S = 400.0
_AT_ONCE = 10_000.0
_WEIGHTS = Path(".antiphon/weights")
_SAMPLED = {"temperature": 0.8, "top_p": 0.95}
# Answers that do not end early; almost any token is allowed, but each is masked by the grammar.
_SCHEMA = {"type": "array", "items": {"type": "string"}, "minItems": 1000}
_CONSTRAINED = {"text": {"format": {"type": "json_schema", "name": "endless", "schema": _SCHEMA}}}


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    num_tokens: Annotated[int, typer.Option(min=8, help="Of each answer.")] = 64,
    dtype: Annotated[str, typer.Option(help="As ANTIPHON_DTYPE.")] = "auto",
    only: Annotated[str, typer.Option(help="kinds or chat.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure what sampling and grammars take of a batch, and what a chat computes again."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.kinds", *sys.argv[1:]]))
    measures: list[Measure] = []
    settings = {"ANTIPHON_ENGINE": "transformers", "ANTIPHON_DTYPE": dtype}
    with own_server(settings, _WEIGHTS) as server:
        if only in ("", "kinds"):
            measures += _kinds(server, itertools.count(), rounds, num_tokens)
        if only in ("", "chat"):
            measures += _chat(server)
    publish(
        f"Kinds: {num_tokens} tokens a request over HTTP, {dtype}", circumstances, measures, results
    )


def _kinds(server: Server, seeds: Iterator[int], rounds: int, num_tokens: int) -> list[Measure]:
    kinds: dict[str, tuple[dict[str, Any], float | None]] = {
        "greedy": ({}, None),
        "sampled at 0.8 / 0.95": (_SAMPLED, 0.9),
        "greedy under a grammar": (_CONSTRAINED, 0.95),
    }
    for fields, _ in kinds.values():
        # Every process loads its tokenizer for its first grammar, which takes seconds.
        _rate(server, WARM_UP, seeds, 2, fields)
    found = [
        {
            name: _rate(server, MANY, seeds, num_tokens, fields)
            for name, (fields, _) in kinds.items()
        }
        for _ in range(rounds)
    ]
    return [
        Measure(
            name=f"{MANY} {name} over {MANY} greedy",
            rounds=[rates[name] / rates["greedy"] for rates in found],
            goal=Goal(at_least=least),
        )
        for name, (_, least) in kinds.items()
        if least is not None
    ]


def _chat(server: Server) -> list[Measure]:
    """Measure the prompt tokens computed again in each turn of a chat, the new ones aside."""
    previous: dict[str, str] = {}
    before = 0
    computed: list[float] = []
    for turn in range(NUM_TURNS):
        text = f"Turn {turn}: tell me more about the sea, its ships and its weather."
        body = {"input": text, "max_output_tokens": 24, "stream": True, "seed": turn, **previous}
        [response] = _responses(server, [orjson.dumps(body)])
        previous = {"previous_response_id": response["id"]}
        usage = response["usage"]
        cached = usage["input_tokens_details"]["cached_tokens"]
        # Only full blocks are cached: up to 31 tokens of the last turn are computed again.
        computed.append(float(usage["input_tokens"] - cached - (usage["input_tokens"] - before)))
        before = usage["input_tokens"] + usage["output_tokens"]
    name = "chat of ten turns: tokens computed again in a turn"
    return [Measure(name=name, rounds=computed[1:], goal=Goal(at_most=32))]


def _rate(
    server: Server,
    concurrency: int,
    seeds: Iterator[int],
    num_tokens: int,
    fields: dict[str, Any] | None = None,
) -> float:
    """Send `concurrency` requests at once; return their output tokens per CPU second."""
    bodies = [
        orjson.dumps(orjson.loads(greedy_body(next(seeds), num_tokens)) | (fields or {}))
        for _ in range(concurrency)
    ]
    began = tree_cpu_s(server.pid)
    responses = _responses(server, bodies)
    spent = tree_cpu_s(server.pid) - began
    return sum(int(response["usage"]["output_tokens"]) for response in responses) / spent


def _responses(server: Server, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    requests = [stream_request(PATH, body) for body in bodies]
    streams = run_streams(server.address, requests, per_second=_AT_ONCE, timeout_s=TIMEOUT_S)
    return [_final(b"".join(stream.chunks)) for stream in streams]


def _final(stream: bytes) -> dict[str, Any]:
    """Return the response in the last event of a stream."""
    data = [line[6:] for line in stream.splitlines() if line.startswith(b"data: {")]
    response: dict[str, Any] = orjson.loads(data[-1]).get("response", {}) if data else {}
    if not response.get("usage"):
        raise BenchError("a stream did not end with a response")
    return response


if __name__ == "__main__":
    typer.run(main)
