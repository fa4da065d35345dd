"""Measurement of a peer: bursts of every number of streams, in every round."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

import orjson
import psutil

from bench.peers.peer import Load, Peer, Precision, Runner, Setup
from bench.peers.prompts import story_prompts
from bench.peers.usage import tree_cpu_s, tree_memory_bytes
from bench.report import percentile
from bench.server import BenchError

_WARM_UP_TOKENS = 8
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_REASON_WIDTH = 160
_FAILURES = (BenchError, OSError, subprocess.SubprocessError, psutil.Error, orjson.JSONDecodeError)
"""Exceptions that count as failures of a peer, and must not end the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Speed and memory of one burst."""

    tokens_per_s: float
    """Output tokens of all streams per second until the last has ended, prefill included."""
    tokens_per_cpu_s: float
    first_token_s: float
    """Median seconds to the first token of a stream."""
    memory_bytes: float
    """Bytes of memory of all processes, at the end of the burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Bursts to measure, the same for every peer."""

    loads: Sequence[Load]
    """Streams of each burst of a round."""
    rounds: int
    num_tokens: int
    seeds: Iterator[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """Measurements of one peer in one precision."""

    peer: Peer
    precision: Precision
    rounds: Mapping[Load, Sequence[Round]] = field(default_factory=dict)
    """Rounds by their streams."""
    failure: str = ""
    """Reason why there are no rounds; empty if there are."""


def measure(peers: Sequence[Peer], setup: Setup, plan: Plan) -> list[PeerResult]:
    """Start peers and warm them up, then measure them in turn, round by round.

    So a load on the machine that passes strikes all of them. A failure of one becomes the reason in
    its result.
    """
    sides = [_Side(peer) for peer in peers]
    try:
        for side in sides:
            side.attempt(side.start, setup, plan)
        for _ in range(plan.rounds):
            for side in sides:
                side.attempt(side.add_round, plan)
    finally:
        for side in sides:
            side.attempt(side.stop)
    return [side.result(setup, plan) for side in sides]


class _Side:
    """Peer while it is measured."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stack = ExitStack()
        self._rounds: list[Mapping[Load, Round]] = []
        self._failure = ""

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do something, unless it has failed before."""
        if self._failure:
            return
        try:
            step(*arguments)
        except _FAILURES as error:
            self._failure = _reason(error)
            with suppress(*_FAILURES):
                self.stop()

    def start(self, setup: Setup, plan: Plan) -> None:
        self._runner = self._stack.enter_context(self._peer.start(setup))
        for load in plan.loads:
            prompts = story_prompts(plan.seeds, load.num_streams)
            self._runner.run(prompts, _WARM_UP_TOKENS, load.num_constrained)

    def add_round(self, plan: Plan) -> None:
        self._rounds.append({load: _round(self._runner, load, plan) for load in plan.loads})

    def stop(self) -> None:
        self._stack.close()

    def result(self, setup: Setup, plan: Plan) -> PeerResult:
        if self._failure:
            return PeerResult(peer=self._peer, precision=setup.precision, failure=self._failure)
        rounds = {load: [bursts[load] for bursts in self._rounds] for load in plan.loads}
        return PeerResult(peer=self._peer, precision=setup.precision, rounds=rounds)


def _round(runner: Runner, load: Load, plan: Plan) -> Round:
    prompts = story_prompts(plan.seeds, load.num_streams)
    num_due = load.num_streams * plan.num_tokens
    began = tree_cpu_s(runner.pid)
    burst = runner.run(prompts, plan.num_tokens, load.num_constrained)
    # The kernel counts CPU time in ticks, so less than one tick reads as zero.
    cpu_s = max(tree_cpu_s(runner.pid) - began, _TICK_S)
    if burst.num_tokens != num_due:
        raise BenchError(f"{burst.num_tokens} tokens came, not {num_due}")
    return Round(
        tokens_per_s=burst.num_tokens / burst.seconds,
        tokens_per_cpu_s=burst.num_tokens / cpu_s,
        first_token_s=percentile(burst.first_token_s, 50),
        memory_bytes=tree_memory_bytes(runner.pid),
    )


def _reason(error: Exception) -> str:
    """Return the first and the last line of the message."""
    lines = [shorten(line, _REASON_WIDTH) for line in str(error).splitlines() if line.strip()]
    return " … ".join(dict.fromkeys(lines[:1] + lines[-1:])) or type(error).__name__
