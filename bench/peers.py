"""Ours beside transformers' server over HTTP: `python -m bench.peers`, after `make peers`.

Both run on the same weights in the same type, in turn; what counts is tokens per second of CPU of
the server's processes (of ours all: API, worker, database, Redis), because others may share the
cores. Prompts differ from their first words on, so that no prefix cache helps either.
"""

import itertools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bench.bodies import PATH, greedy_body
from bench.load import Address
from bench.peer import Peer, running_peer, tree_cpu_s
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError, Server, own_server
from bench.streams import run_streams, stream_request

MANY = 32
WARM_UP = 8
NUM_TURNS = 10
TIMEOUT_S = 400.0
_AT_ONCE = 10_000.0
_WEIGHTS = Path(".antiphon/weights")
_MODEL = "SmolLM2-135M-Instruct"
_SAMPLED = {"temperature": 0.8, "top_p": 0.95}
# An answer that never ends, most of it as free as strings are, yet masked at every token.
_SCHEMA = {"type": "array", "items": {"type": "string"}, "minItems": 1000}
_HELD = {"text": {"format": {"type": "json_schema", "name": "endless", "schema": _SCHEMA}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two servers."""

    address: Address
    pid: int
    body: Callable[[bytes], bytes] = lambda body: body


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    num_tokens: Annotated[int, typer.Option(min=8, help="Of each answer.")] = 64,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16, of both.")] = "float32",
    only: Annotated[str, typer.Option(help="peer, kinds, int8 or chat.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens per second of CPU at 1 and 32, and what sampling, grammars and int8 take."""
    where = Circumstances.now(shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]]))
    seeds = itertools.count()
    measures: list[Measure] = []
    settings = {"ANTIPHON_ENGINE": "transformers", "ANTIPHON_DTYPE": dtype}
    with own_server(settings, _WEIGHTS) as server:
        ours = _side(server)
        _rate(ours, 1, seeds, num_tokens)
        if only in ("", "peer"):
            with running_peer(_WEIGHTS / _MODEL, dtype, num_threads=1) as peer:
                measures += _beside(ours, peer, seeds, rounds, num_tokens)
        if only in ("", "kinds"):
            measures += _kinds(ours, seeds, rounds, num_tokens)
        if only in ("", "int8"):
            with own_server(settings | {"ANTIPHON_QUANTIZATION": "int8"}, _WEIGHTS) as quantized:
                measures += _int8(ours, _side(quantized), seeds, rounds, num_tokens)
        if only in ("", "chat"):
            measures += _chat(ours)
    publish(f"Peers: {num_tokens} tokens a request over HTTP, {dtype}", where, measures, results)


def _beside(
    ours: Side, peer: Peer, seeds: Iterator[int], rounds: int, num_tokens: int
) -> list[Measure]:
    theirs = Side(address=peer.address, pid=peer.pid, body=peer.body)
    _rate(theirs, 1, seeds, num_tokens)
    measures: list[Measure] = []
    for concurrency, least in ((1, 1.0), (MANY, 3.0)):
        pairs = [
            tuple(_rate(side, concurrency, seeds, num_tokens) for side in (ours, theirs))
            for _ in range(rounds)
        ]
        at = f"{concurrency} concurrent, tokens per CPU second"
        measures += [
            Measure(name=f"{at}: ours", rounds=[own for own, _ in pairs]),
            Measure(name=f"{at}: transformers serve", rounds=[other for _, other in pairs]),
            Measure(
                name=f"{concurrency} concurrent: ours over theirs",
                rounds=[own / other for own, other in pairs],
                goal=Goal(at_least=least),
            ),
        ]
    return measures


def _kinds(ours: Side, seeds: Iterator[int], rounds: int, num_tokens: int) -> list[Measure]:
    kinds: dict[str, tuple[dict[str, Any], float | None]] = {
        "greedy": ({}, None),
        "sampled at 0.8 / 0.95": (_SAMPLED, 0.9),
        "greedy under a grammar": (_HELD, 0.95),
    }
    for asked, _ in kinds.values():
        # Every process reads its tokenizer when it meets its first grammar, which takes seconds.
        _rate(ours, WARM_UP, seeds, 2, asked)
    found = [
        {name: _rate(ours, MANY, seeds, num_tokens, asked) for name, (asked, _) in kinds.items()}
        for _ in range(rounds)
    ]
    return [
        Measure(
            name=f"{MANY} {name} over {MANY} greedy",
            rounds=[each[name] / each["greedy"] for each in found],
            goal=Goal(at_least=least),
        )
        for name, (_, least) in kinds.items()
        if least is not None
    ]


def _int8(
    full: Side, int8: Side, seeds: Iterator[int], rounds: int, num_tokens: int
) -> list[Measure]:
    """Both at one stream, in turn."""
    _rate(int8, 1, seeds, num_tokens)
    pairs = [
        tuple(_rate(side, 1, seeds, num_tokens) for side in (full, int8)) for _ in range(rounds)
    ]
    return [
        Measure(
            name="1 in int8: tokens per CPU second",
            rounds=[quantized for _, quantized in pairs],
        ),
        Measure(
            name="1 in int8 over 1 in full",
            rounds=[quantized / plain for plain, quantized in pairs],
            goal=Goal(at_least=1.6),
        ),
    ]


def _chat(ours: Side) -> list[Measure]:
    """Each turn goes on from the last; what is not cached must be new."""
    previous: dict[str, str] = {}
    before = 0
    computed: list[float] = []
    for turn in range(NUM_TURNS):
        text = f"Turn {turn}: tell me more about the sea, its ships and its weather."
        body = {"input": text, "max_output_tokens": 24, "stream": True, "seed": turn, **previous}
        [response] = _responses(ours, [orjson.dumps(body)])
        previous = {"previous_response_id": response["id"]}
        usage = response["usage"]
        cached = usage["input_tokens_details"]["cached_tokens"]
        # A block is shared once it is full: up to 15 tokens of the last turn are computed again.
        computed.append(float(usage["input_tokens"] - cached - (usage["input_tokens"] - before)))
        before = usage["input_tokens"] + usage["output_tokens"]
    name = "chat of ten turns: tokens computed again in a turn"
    return [Measure(name=name, rounds=computed[1:], goal=Goal(at_most=16))]


def _rate(
    side: Side,
    concurrency: int,
    seeds: Iterator[int],
    num_tokens: int,
    asked: dict[str, Any] | None = None,
) -> float:
    """Output tokens per second of CPU of a batch that comes at once."""
    bodies = [
        orjson.dumps(orjson.loads(greedy_body(next(seeds), num_tokens)) | (asked or {}))
        for _ in range(concurrency)
    ]
    began = tree_cpu_s(side.pid)
    responses = _responses(side, [side.body(each) for each in bodies])
    spent = tree_cpu_s(side.pid) - began
    return sum(int(each["usage"]["output_tokens"]) for each in responses) / spent


def _responses(side: Side, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    requests = [stream_request(PATH, body) for body in bodies]
    streams = run_streams(side.address, requests, per_second=_AT_ONCE, timeout_s=TIMEOUT_S)
    return [_final(b"".join(stream.chunks)) for stream in streams]


def _final(stream: bytes) -> dict[str, Any]:
    """The response that a stream ends with; the peer's events have no names."""
    data = [line[6:] for line in stream.splitlines() if line.startswith(b"data: {")]
    response: dict[str, Any] = orjson.loads(data[-1]).get("response", {}) if data else {}
    if not response.get("usage"):
        raise BenchError("a stream did not end with a response")
    return response


def _side(server: Server) -> Side:
    assert server.data_dir is not None
    supervisor = (server.data_dir / "run" / "supervisor.pid").read_text()
    return Side(address=server.address, pid=int(supervisor))


if __name__ == "__main__":
    typer.run(main)
