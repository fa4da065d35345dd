"""Ratios between ours and peers, and the table that they stand under."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.peers.goals import comparisons, ratios
from bench.peers.measure import PeerResult, Plan, Round, measure
from bench.peers.peer import Burst, Isa, Precision, Setup
from bench.peers.table import table
from bench.server import BenchError


class Runner:
    """This process, as if it gave a token more than asked for."""

    def __init__(self, num_more: int) -> None:
        self.num_more = num_more
        self.pid = os.getpid()

    def run(self, prompts: Sequence[str], num_tokens: int) -> Burst:
        sum(range(10**6))
        num_tokens = len(prompts) * num_tokens + self.num_more
        return Burst(seconds=2.0, num_tokens=num_tokens, first_token_s=[0.5] * len(prompts))


class Peer:
    """A peer that needs no start."""

    is_over_http = True
    avx2_note = ""

    def __init__(self, name: str = "ours", failure: str = "", num_more: int = 0) -> None:
        self.name = name
        self.formats = {each: each.value for each in Precision}
        self.failure = failure
        self.num_more = num_more

    def version(self) -> str:
        return "1"

    @contextmanager
    def start(self, setup: Setup) -> Iterator[Runner]:
        if self.failure:
            raise BenchError(self.failure)
        yield Runner(self.num_more)


SETUP = Setup(
    weights=Path("weights"),
    precision=Precision.INT4,
    num_threads=1,
    isa=Isa.NATIVE,
    max_streams=8,
    max_tokens=256,
)


def plan() -> Plan:
    return Plan(counts=[1, 8], rounds=2, num_tokens=10, seeds=iter(range(1000)))


def found(peer: str, precision: Precision, *speeds: float) -> PeerResult:
    rounds = [
        Round(tokens_per_s=each, tokens_per_cpu_s=each, first_token_s=1.0, memory_bytes=2.0**20)
        for each in speeds
    ]
    return PeerResult(peer=Peer(peer), precision=precision, rounds={8: rounds})


def test_every_number_of_streams_is_measured_in_every_round() -> None:
    measured = measure(Peer(), SETUP, plan())

    assert {count: len(rounds) for count, rounds in measured.rounds.items()} == {1: 2, 8: 2}
    assert [each.tokens_per_s for each in measured.rounds[8]] == [40.0, 40.0]
    assert measured.rounds[1][0].first_token_s == 0.5
    assert measured.rounds[1][0].memory_bytes > 2**20


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (Peer(failure="not installed:\n\nno compiler"), "not installed: … no compiler"),
        (Peer(num_more=1), "11 tokens came, not 10"),
    ],
)
def test_a_peer_that_fails_is_a_row_with_the_reason(peer: Peer, reason: str) -> None:
    measured = measure(peer, SETUP, plan())

    [row] = table([measured]).rows
    assert row[:4] == ("ours", "int4", "-", reason)


def test_ratios_are_those_of_rounds_and_have_the_goal_of_their_pair() -> None:
    sides = [
        found("ours", Precision.INT4, 30, 40),
        found("llama.cpp", Precision.INT4, 10, 20),
        found("ours", Precision.INT8, 30, 40),
        found("vLLM", Precision.BFLOAT16, 10, 20),
    ]

    told = {each.name: each for each in ratios("ours", sides)}

    assert list(told) == [
        "8 streams: ours in int4 over llama.cpp in int4",
        "8 streams: ours in int8 over vLLM in bfloat16",
    ]
    assert [list(each.rounds) for each in told.values()] == [[3, 2], [3, 2]]
    assert [str(each.goal) for each in told.values()] == ["≥ 1.50", "≥ 2"]


def test_what_failed_is_compared_with_nothing() -> None:
    failed = PeerResult(peer=Peer("vLLM"), precision=Precision.BFLOAT16, failure="no")

    assert ratios("ours", [found("ours", Precision.BFLOAT16, 1), failed]) == []


def test_no_pair_is_told_twice() -> None:
    pairs = [(each.ours, each.peer, each.theirs) for each in comparisons()]

    assert len(pairs) == len(set(pairs))
