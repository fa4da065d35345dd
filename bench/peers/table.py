"""What was found as rows of text."""

import statistics
from collections.abc import Iterator, Sequence

from bench.peers.measure import Found
from bench.report import Grid, number

_COLUMNS = (
    *("Peer", "Weights", "Streams", "Tokens/s, median (spread)", "Tokens per CPU second"),
    *("First token, ms", "Memory, MiB", "Rounds"),
)
_NOTHING = "-"


def table(found: Sequence[Found]) -> Grid:
    """A row for each peer, precision and number of streams; one for what failed."""
    return Grid(columns=_COLUMNS, rows=[row for each in found for row in _rows(each)])


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    name = found.peer.name + ("" if found.peer.is_over_http else ", in process")
    weights = _weights(found)
    if found.failure:
        yield (name, weights, _NOTHING, found.failure, *[_NOTHING] * (len(_COLUMNS) - 4))
    for count, rounds in found.rounds.items():
        yield (
            name,
            weights,
            str(count),
            _spread([each.tokens_per_s for each in rounds]),
            _spread([each.tokens_per_cpu_s for each in rounds]),
            _spread([each.first_token_s * 1000 for each in rounds]),
            number(statistics.median(each.memory_bytes for each in rounds) // 2**20),
            str(len(rounds)),
        )


def _weights(found: Found) -> str:
    """The precision, and what the peer calls it if that is another name."""
    theirs = found.peer.formats[found.precision]
    ours = found.precision.value
    return ours if theirs == ours else f"{ours}: {theirs}"


def _spread(values: Sequence[float]) -> str:
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"
