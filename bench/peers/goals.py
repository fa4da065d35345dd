"""How many times as fast as its peers ours should be, and how many times it was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.peers.measure import Found
from bench.peers.peer import Precision
from bench.report import Goal, Measure

_ALL = (1, 8, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ours in one precision over a peer in another."""

    ours: Precision
    peer: str
    theirs: Precision
    least: Mapping[int, float] = field(default_factory=dict)
    """By the number of streams; a ratio without a goal is told all the same."""


_SAME: Mapping[str, Mapping[int, float]] = {
    "vLLM": dict.fromkeys(_ALL, 1.3),
    "transformers serve": {1: 2.5, 32: 6},
    "OpenVINO GenAI": {8: 0.95, 32: 0.95},
    "llama.cpp": {},
}
"""In whichever precision both have."""
_OF_LLAMA_CPP_INT4 = {1: 0.9, 8: 1.5, 32: 2}
_INT8_OVER_BFLOAT16 = Comparison(
    ours=Precision.INT8,
    peer="vLLM",
    theirs=Precision.BFLOAT16,
    least=dict.fromkeys(_ALL, 2),
)


def comparisons() -> Iterator[Comparison]:
    """All that are told, if both sides were measured."""
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


def ratios(ours: str, found: Sequence[Found]) -> list[Measure]:
    """Of tokens per second, round by round, with the goals; `ours` is the name of our side."""
    by_side = {(each.peer.name, each.precision): each for each in found if not each.failure}
    measures: list[Measure] = []
    for comparison in comparisons():
        one = by_side.get((ours, comparison.ours))
        other = by_side.get((comparison.peer, comparison.theirs))
        if one is not None and other is not None:
            measures += _ratios(comparison, one, other)
    return measures


def _ratios(comparison: Comparison, one: Found, other: Found) -> Iterator[Measure]:
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
