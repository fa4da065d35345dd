"""Bursts of every number of streams, in turn in every round, at one peer after the other."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten

import orjson
import psutil

from bench.peers.peer import Peer, Precision, Runner, Setup
from bench.peers.prompts import stories
from bench.peers.usage import tree_cpu_s, tree_memory_bytes
from bench.report import percentile
from bench.server import BenchError

_WARM_UP_TOKENS = 8
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_REASON_WIDTH = 160
_FAILURES = (BenchError, OSError, subprocess.SubprocessError, psutil.Error, orjson.JSONDecodeError)
"""A peer is no code of ours: what may go wrong there must not end the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one burst took."""

    tokens_per_s: float
    """Of all streams, prompts included, until the last has ended."""
    tokens_per_cpu_s: float
    first_token_s: float
    """The median of its streams."""
    memory_bytes: float
    """Of all processes at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of every peer."""

    counts: Sequence[int]
    """How many streams come at once, one burst after the other."""
    rounds: int
    num_tokens: int
    seeds: Iterator[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one peer gave in one precision."""

    peer: Peer
    precision: Precision
    rounds: Mapping[int, Sequence[Round]] = field(default_factory=dict)
    """By the number of streams."""
    failure: str = ""
    """Why there are none."""


def measure(peer: Peer, setup: Setup, plan: Plan) -> Found:
    """Start a peer, warm it up and measure it; what fails becomes a reason."""
    try:
        with peer.start(setup) as runner:
            for count in plan.counts:
                runner.run(stories(plan.seeds, count), _WARM_UP_TOKENS)
            found = [
                {count: _round(runner, count, plan) for count in plan.counts}
                for _ in range(plan.rounds)
            ]
    except _FAILURES as error:
        return Found(peer=peer, precision=setup.precision, failure=_reason(error))
    rounds = {count: [each[count] for each in found] for count in plan.counts}
    return Found(peer=peer, precision=setup.precision, rounds=rounds)


def _round(runner: Runner, count: int, plan: Plan) -> Round:
    prompts = stories(plan.seeds, count)
    began = tree_cpu_s(runner.pid)
    burst = runner.run(prompts, plan.num_tokens)
    # The system counts in ticks: less than one reads as none.
    cpu_s = max(tree_cpu_s(runner.pid) - began, _TICK_S)
    if burst.num_tokens != count * plan.num_tokens:
        raise BenchError(f"{burst.num_tokens} tokens came, not {count * plan.num_tokens}")
    return Round(
        tokens_per_s=burst.num_tokens / burst.seconds,
        tokens_per_cpu_s=burst.num_tokens / cpu_s,
        first_token_s=percentile(burst.first_token_s, 50),
        memory_bytes=tree_memory_bytes(runner.pid),
    )


def _reason(error: Exception) -> str:
    """The first and the last line of what it says."""
    lines = [shorten(line, _REASON_WIDTH) for line in str(error).splitlines() if line.strip()]
    return " … ".join(dict.fromkeys(lines[:1] + lines[-1:])) or type(error).__name__
