"""Ratios between our engine and peers, and the table that reports them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from bench.peers.goals import comparisons, ratios
from bench.peers.measure import PeerResult, Plan, Round, measure
from bench.peers.peer import Burst, Isa, Load, Precision, Setup
from bench.peers.table import table
from bench.server import BenchError


class Runner:
    """Runner in the test's own process, whose bursts have `num_more` tokens more than requested."""

    def __init__(self, num_more: int, on_burst: Callable[[], None]) -> None:
        self.num_more = num_more
        self.on_burst = on_burst
        self.pid = os.getpid()

    def run(self, prompts: Sequence[str], num_tokens: int, num_constrained: int = 0) -> Burst:
        self.on_burst()
        sum(range(10**6))
        num_tokens = len(prompts) * num_tokens + self.num_more
        return Burst(seconds=2.0, num_tokens=num_tokens, first_token_s=[0.5] * len(prompts))


class Peer:
    """Peer that starts no process."""

    is_over_http = True
    avx2_note = ""

    def __init__(self, name: str = "ours", failure: str = "", num_more: int = 0) -> None:
        self.name = name
        self.formats = {precision: precision.value for precision in Precision}
        self.failure = failure
        self.num_more = num_more
        self.is_up = False
        self.on_burst: Callable[[], None] = lambda: None

    def version(self) -> str:
        return "1"

    @contextmanager
    def start(self, setup: Setup) -> Iterator[Runner]:
        if self.failure:
            raise BenchError(self.failure)
        self.is_up = True
        try:
            yield Runner(self.num_more, self.on_burst)
        finally:
            self.is_up = False


SETUP = Setup(
    weights=Path("weights"),
    precision=Precision.INT4,
    num_threads=1,
    isa=Isa.NATIVE,
    max_streams=8,
    max_tokens=256,
)


EIGHT = Load(8)


def plan() -> Plan:
    return Plan(loads=[Load(1), Load(8)], rounds=2, num_tokens=10, seeds=iter(range(1000)))


def result_of(peer: str, precision: Precision, *speeds: float, load: Load = EIGHT) -> PeerResult:
    rounds = [
        Round(tokens_per_s=speed, tokens_per_cpu_s=speed, first_token_s=1.0, memory_bytes=2.0**20)
        for speed in speeds
    ]
    return PeerResult(peer=Peer(peer), precision=precision, rounds={load: rounds})


def test_every_number_of_streams_is_measured_in_every_round() -> None:
    [measured] = measure([Peer()], SETUP, plan())

    num_rounds = {load: len(rounds) for load, rounds in measured.rounds.items()}
    assert num_rounds == {Load(1): 2, EIGHT: 2}
    assert [each.tokens_per_s for each in measured.rounds[EIGHT]] == [40.0, 40.0]
    assert measured.rounds[Load(1)][0].first_token_s == 0.5
    assert measured.rounds[Load(1)][0].memory_bytes > 2**20


def test_several_have_their_rounds_in_turn_and_one_that_fails_stops_no_other() -> None:
    peers = [Peer("one"), Peer("failing", num_more=1), Peer("other")]
    bursts: list[str] = []
    for peer in peers:
        peer.on_burst = partial(bursts.append, peer.name)

    results = measure(peers, SETUP, Plan(loads=[EIGHT], rounds=2, num_tokens=10, seeds=count()))

    warm_ups = ["one", "failing", "other"]
    assert bursts == [*warm_ups, "one", "failing", "other", "one", "other"]
    assert [result.failure for result in results] == ["", "81 tokens came, not 80", ""]
    assert [len(result.rounds.get(EIGHT, [])) for result in results] == [2, 0, 2]
    assert not any(peer.is_up for peer in peers)


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (Peer(failure="not installed:\n\nno compiler"), "not installed: … no compiler"),
        (Peer(num_more=1), "11 tokens came, not 10"),
    ],
)
def test_a_peer_that_fails_is_a_row_with_the_reason(peer: Peer, reason: str) -> None:
    [measured] = measure([peer], SETUP, plan())

    [row] = table([measured]).rows
    assert row[:4] == ("ours", "int4", "-", reason)


def test_ratios_are_those_of_rounds_and_have_the_goal_of_their_pair() -> None:
    sides = [
        result_of("ours", Precision.INT4, 30, 40),
        result_of("llama.cpp", Precision.INT4, 10, 20),
        result_of("ours", Precision.INT8, 30, 40),
        result_of("vLLM", Precision.BFLOAT16, 10, 20),
    ]

    ratios_by_name = {ratio.name: ratio for ratio in ratios("ours", sides)}

    assert list(ratios_by_name) == [
        "8 streams: ours in int4 over llama.cpp in int4",
        "8 streams: ours in int8 over vLLM in bfloat16",
    ]
    assert [list(ratio.rounds) for ratio in ratios_by_name.values()] == [[3, 2], [3, 2]]
    assert [str(ratio.goal) for ratio in ratios_by_name.values()] == ["≥ 1.50", "≥ 2"]


def test_our_server_with_vllm_is_compared_with_vllm_alone() -> None:
    half = Load(8, 4)
    sides = [
        result_of("ours with vLLM", Precision.BFLOAT16, 30, load=half),
        result_of("vLLM", Precision.BFLOAT16, 60, load=half),
    ]

    [ratio] = ratios("ours", sides)

    assert ratio.name == (
        "8 streams, 4 by a schema: ours with vLLM in bfloat16 over vLLM in bfloat16"
    )
    assert (list(ratio.rounds), str(ratio.goal)) == ([0.5], "≥ 0.90")


def test_what_failed_is_compared_with_nothing() -> None:
    failed = PeerResult(peer=Peer("vLLM"), precision=Precision.BFLOAT16, failure="no")

    assert ratios("ours", [result_of("ours", Precision.BFLOAT16, 1), failed]) == []


def test_no_pair_is_told_twice() -> None:
    pairs = [
        (comparison.side, comparison.ours, comparison.peer, comparison.theirs)
        for comparison in comparisons()
    ]

    assert len(pairs) == len(set(pairs))
