"""Benchmark of ours and its peers: `python -m bench.peers`, after `make peers-install`.

Runs one at a time, on the same weights, prompts and cores; with `--in-turn` all are up, and have
their rounds in turn, which takes the memory of all. Prompts differ from their first words on, and
from round to round, so that no prefix cache helps. Other load on the machine affects all alike only
on average, so medians of rounds are compared, with their spread.
"""

import itertools
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.engines.shapes import SHAPES
from bench.peers.goals import ratios
from bench.peers.measure import PeerResult, Plan, measure
from bench.peers.peer import Isa, Load, Peer, Precision, Setup
from bench.peers.servers.llama_cpp import LlamaCpp
from bench.peers.servers.openvino_genai import OpenVinoGenAi
from bench.peers.servers.ours import Antiphon, AntiphonWithVllm
from bench.peers.servers.transformers_serve import TransformersServe
from bench.peers.servers.vllm import Vllm
from bench.peers.table import table
from bench.peers.weights.random_weights import random_weights as random_folder
from bench.report import RESULTS, Circumstances, Grid, publish_grids
from bench.server import BenchError

OURS = Antiphon()
PEERS: tuple[Peer, ...] = (
    *(OURS, AntiphonWithVllm(), Vllm()),
    *(TransformersServe(), LlamaCpp(), OpenVinoGenAi()),
)
_NAMES = ", ".join(peer.name for peer in PEERS)
_WEIGHTS = Path(".antiphon/weights/SmolLM2-135M-Instruct")
_PRECISIONS = [Precision.BFLOAT16, Precision.INT8, Precision.INT4]
_COUNTS = [1, 8, 32]
_PROMPT_TOKENS = 160
"""Upper limit of the tokens of a prompt, which has about 126."""


def main(  # noqa: PLR0913 - the options of a command line
    rounds: Annotated[int, typer.Option(min=1, help="Of each peer and precision.")] = 5,
    num_tokens: Annotated[int, typer.Option(min=8, help="Of each answer.")] = 64,
    precision: Annotated[list[Precision], typer.Option(help="May be given again.")] = _PRECISIONS,
    streams: Annotated[list[int], typer.Option(min=1, help="May be given again.")] = _COUNTS,
    half_by_schema: Annotated[
        bool, typer.Option(help="Again with half of the streams held to a JSON schema.")
    ] = False,
    in_turn: Annotated[
        bool, typer.Option(help="Start all, and have their rounds in turn.")
    ] = False,
    only: Annotated[str, typer.Option(help=f"Names with a comma between: {_NAMES}.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Of each.")] = os.cpu_count() or 1,
    isa: Annotated[Isa, typer.Option(help="Hold those to AVX2 that can be held.")] = Isa.NATIVE,
    weights: Annotated[Path, typer.Option(help="A folder of weights.")] = _WEIGHTS,
    random_weights: Annotated[str, typer.Option(help=f"Instead: {', '.join(SHAPES)}.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s, per CPU second too, the first token and memory, beside those of peers."""
    # Exit by an exception, so that the processes that we started are ended on a signal too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]]))
    peers = _select(only)
    folder = weights.resolve()
    if random_weights:
        folder = random_folder(random_weights, folder, folder.parent)
    loads = [Load(count) for count in streams]
    if half_by_schema:
        loads += [Load(count, -(-count // 2)) for count in streams]
    plan = Plan(loads=loads, rounds=rounds, num_tokens=num_tokens, seeds=itertools.count())
    found: list[PeerResult] = []
    for one_precision in precision:
        setup = Setup(
            weights=folder,
            precision=one_precision,
            num_threads=threads,
            isa=isa,
            max_streams=max(streams),
            max_tokens=-(-(_PROMPT_TOKENS + num_tokens) // 256) * 256,
        )
        able = [peer for peer in peers if one_precision in peer.formats]
        for group in [able] if in_turn else [[peer] for peer in able]:
            found += _measure(group, setup, plan)
    title = f"Peers: {folder.name}, {num_tokens} tokens a request, {threads} threads, {isa}"
    circumstances = circumstances.with_lines(
        *_versions(peers), *(_avx2_notes(peers) if isa is Isa.AVX2 else ())
    )
    compared = ratios(OURS.name, found)
    grids = [table(found), *([Grid.of(compared)] if compared else [])]
    publish_grids(title, circumstances, grids, results)


def _select(only: str) -> Sequence[Peer]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := set(names) - {peer.name for peer in PEERS}:
        raise typer.BadParameter(f"no peer {', '.join(sorted(unknown))}; there are: {_NAMES}")
    return [peer for peer in PEERS if not names or peer.name in names]


def _measure(peers: Sequence[Peer], setup: Setup, plan: Plan) -> list[PeerResult]:
    typer.echo(f"{', '.join(peer.name for peer in peers)}, {setup.precision}", err=True)
    found = measure(peers, setup, plan)
    for row in table(found).rows:
        typer.echo("  ".join(row), err=True)
    return found


def _versions(peers: Sequence[Peer]) -> Iterator[str]:
    known: list[str] = []
    for peer in peers:
        if peer is OURS:
            continue
        try:
            known.append(f"{peer.name} {peer.version()}")
        except BenchError:
            continue
    if known:
        yield f"versions: {', '.join(known)}"


def _avx2_notes(peers: Sequence[Peer]) -> Iterator[str]:
    for peer in peers:
        yield f"{peer.name} held to AVX2 {peer.avx2_note}"


if __name__ == "__main__":
    typer.run(main)
