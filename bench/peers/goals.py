"""Speed of ours over that of its peers, with the goals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.peers.measure import PeerResult
from bench.peers.peer import Precision
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


_SAME: Mapping[str, Mapping[int, float]] = {
    "vLLM": dict.fromkeys(_ALL, 1.3),
    "transformers serve": {1: 2.5, 32: 6},
    "OpenVINO GenAI": {8: 0.95, 32: 0.95},
    "llama.cpp": {},
}
"""Least ratios, by peer and number of streams, in every precision that both have."""
_OF_LLAMA_CPP_INT4 = {1: 0.9, 8: 1.5, 32: 2}
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


def ratios(ours: str, results: Sequence[PeerResult]) -> list[Measure]:
    """Return the ratios of tokens/s, round by round, with goals; `ours` is the name of our side."""
    by_side = {
        (result.peer.name, result.precision): result for result in results if not result.failure
    }
    measures: list[Measure] = []
    for comparison in comparisons():
        one = by_side.get((ours, comparison.ours))
        other = by_side.get((comparison.peer, comparison.theirs))
        if one is not None and other is not None:
            measures += _ratios(comparison, one, other)
    return measures


def _ratios(comparison: Comparison, one: PeerResult, other: PeerResult) -> Iterator[Measure]:
    for count in one.rounds:
        least = comparison.least.get(count)
        pairs = zip(one.rounds[count], other.rounds[count], strict=True)
        yield Measure(
            name=(
                f"{count} stream{'s' if count > 1 else ''}: ours in {comparison.ours} over "
                f"{comparison.peer} in {comparison.theirs}"
            ),
            rounds=[mine.tokens_per_s / theirs.tokens_per_s for mine, theirs in pairs],
            goal=None if least is None else Goal(at_least=least),
        )
