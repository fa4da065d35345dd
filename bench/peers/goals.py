"""Speed of ours over that of its peers, with the goals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.peers.measure import PeerResult
from bench.peers.peer import Load, Precision
from bench.report import Goal, Measure

_ALL = (1, 8, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Pair to compare: ours in one precision, and a peer in the same or another."""

    ours: Precision
    peer: str
    theirs: Precision
    least: Mapping[int, float] = field(default_factory=dict)
    """Least ratio, by the number of streams; a ratio without a goal is still published."""
    least_constrained: float | None = None
    """The same where some of the streams are held to a schema."""
    side: str = ""
    """Name of our side, if it is not the usual one."""


_SAME: Mapping[str, Mapping[int, float]] = {
    "vLLM": dict.fromkeys(_ALL, 1.3),
    "transformers serve": {1: 2.5, 32: 6},
    "OpenVINO GenAI": {8: 0.95, 32: 0.95},
    "llama.cpp": {},
}
"""Least ratios, by peer and number of streams, in every precision that both have."""
_OF_LLAMA_CPP_INT4 = {1: 0.9, 8: 1.5, 32: 2}
_WITH_VLLM: Mapping[int, float] = dict.fromkeys(_ALL, 0.97)
_WITH_VLLM_CONSTRAINED = 0.9
_INT8_OVER_BFLOAT16 = Comparison(
    ours=Precision.INT8,
    peer="vLLM",
    theirs=Precision.BFLOAT16,
    least=dict.fromkeys(_ALL, 2),
)


def comparisons() -> Iterator[Comparison]:
    """Yield all pairs to compare, if both sides were measured."""
    for precision in Precision:
        for peer, least in _SAME.items():
            is_q4 = (peer, precision) == ("llama.cpp", Precision.INT4)
            yield Comparison(
                ours=precision,
                peer=peer,
                theirs=precision,
                least=_OF_LLAMA_CPP_INT4 if is_q4 else least,
            )
    yield _INT8_OVER_BFLOAT16
    for precision in (Precision.FLOAT32, Precision.BFLOAT16):
        yield Comparison(
            ours=precision,
            peer="vLLM",
            theirs=precision,
            least=_WITH_VLLM,
            least_constrained=_WITH_VLLM_CONSTRAINED,
            side="ours with vLLM",
        )


def ratios(ours: str, results: Sequence[PeerResult]) -> list[Measure]:
    """Return the ratios of tokens/s, round by round, with goals; `ours` is the name of our side."""
    by_side = {
        (result.peer.name, result.precision): result for result in results if not result.failure
    }
    measures: list[Measure] = []
    for comparison in comparisons():
        name = comparison.side or ours
        one = by_side.get((name, comparison.ours))
        other = by_side.get((comparison.peer, comparison.theirs))
        if one is not None and other is not None:
            measures += _ratios(comparison, name, one, other)
    return measures


def _ratios(
    comparison: Comparison, name: str, one: PeerResult, other: PeerResult
) -> Iterator[Measure]:
    pair = f"{name} in {comparison.ours} over {comparison.peer} in {comparison.theirs}"
    for load in one.rounds:
        if load.num_constrained:
            least = comparison.least_constrained
        else:
            least = comparison.least.get(load.num_streams)
        pairs = zip(one.rounds[load], other.rounds[load], strict=True)
        yield Measure(
            name=f"{_streams(load)}: {pair}",
            rounds=[mine.tokens_per_s / theirs.tokens_per_s for mine, theirs in pairs],
            goal=None if least is None else Goal(at_least=least),
        )


def _streams(load: Load) -> str:
    streams = f"{load.num_streams} stream{'s' if load.num_streams > 1 else ''}"
    return f"{streams}, {load.num_constrained} by a schema" if load.num_constrained else streams
