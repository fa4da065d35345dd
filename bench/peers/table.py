"""Table of the results of all peers."""

import statistics
from collections.abc import Iterator, Sequence

from bench.peers.measure import PeerResult
from bench.report import Grid, number

_COLUMNS = (
    *("Peer", "Weights", "Streams", "Tokens/s, median (spread)", "Tokens per CPU second"),
    *("First token, ms", "Memory, MiB", "Rounds"),
)
_NOTHING = "-"


def table(results: Sequence[PeerResult]) -> Grid:
    """Return a row per peer, precision and number of streams; one row for a peer that failed."""
    return Grid(columns=_COLUMNS, rows=[row for result in results for row in _rows(result)])


def _rows(result: PeerResult) -> Iterator[tuple[str, ...]]:
    name = result.peer.name + ("" if result.peer.is_over_http else ", in process")
    weights = _weights(result)
    if result.failure:
        yield (name, weights, _NOTHING, result.failure, *[_NOTHING] * (len(_COLUMNS) - 4))
    for load, rounds in result.rounds.items():
        yield (
            name,
            weights,
            str(load),
            _spread([round_.tokens_per_s for round_ in rounds]),
            _spread([round_.tokens_per_cpu_s for round_ in rounds]),
            _spread([round_.first_token_s * 1000 for round_ in rounds]),
            number(statistics.median(round_.memory_bytes for round_ in rounds) // 2**20),
            str(len(rounds)),
        )


def _weights(result: PeerResult) -> str:
    """Return the precision, and the peer's own name of it if that differs."""
    theirs = result.peer.formats[result.precision]
    ours = result.precision.value
    return ours if theirs == ours else f"{ours}: {theirs}"


def _spread(values: Sequence[float]) -> str:
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"
