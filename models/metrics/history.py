"""Figures of a day from readings of metrics: what happened between each reading and the next.

A figure is None where it is unknown: no reading at one of the ends, or nothing that was measured.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.metrics.readings import (
    ENDED,
    FAILED,
    FIRST_TOKEN,
    OUTPUT_TOKENS,
    WAIT,
    MinuteReading,
)
from models.metrics.recorder import INFINITY

MEDIAN, P95 = 0.5, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of one step of time, over all models or of one of them."""

    at: datetime
    """Beginning of the step."""
    is_known: bool = False
    """True if there are readings at both ends."""
    queued: int | None = None
    """Most responses that were queued."""
    wait: tuple[float, float] | None = None
    """Median and 95th percentile, in seconds, of responses that were claimed."""
    first_token: tuple[float, float] | None = None
    """The same of those whose first token came."""
    tokens_per_s: float | None = None
    ended: int | None = None
    failed: int | None = None


def figures_of(
    rows: Iterable[MinuteReading], first: datetime, num: int, step: timedelta
) -> list[Figures]:
    """Return the figures of `num` steps from `first` on; `rows` may have one reading more."""
    by_minute: dict[datetime, dict[str, MinuteReading]] = defaultdict(dict)
    for row in rows:
        by_minute[row.minute.astimezone(UTC)][row.model] = row
    times = [first + step * number for number in range(num)]
    return [_between(at, by_minute.get(at, {}), by_minute.get(at + step, {})) for at in times]


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """Return an estimate of a quantile from numbers by upper bound; None if nothing was counted.

    It is interpolated within its bucket, as Prometheus does: one of more than the highest bound
    is given as that bound.
    """
    total = sum(buckets.values())
    if total <= 0:
        return None
    rank, lower, below = share * total, 0.0, 0.0
    for bound, count in sorted((float(bound), count) for bound, count in buckets.items()):
        if below + count >= rank and count:
            width = 0.0 if bound == float(INFINITY) else bound - lower
            return lower + width * (rank - below) / count
        lower, below = bound, below + count
    return lower


def _between(
    at: datetime, before: Mapping[str, MinuteReading], after: Mapping[str, MinuteReading]
) -> Figures:
    """Return the figures of a step from the readings of all models at its ends."""
    models = before.keys() & after.keys()
    if not models:
        return Figures(at=at)
    growth: dict[str, float] = defaultdict(float)
    rate = 0.0
    for model in models:
        grown = _growth(before[model].totals, after[model].totals)
        seconds = (after[model].taken_at - before[model].taken_at).total_seconds()
        rate += grown.get(OUTPUT_TOKENS, 0.0) / seconds if seconds > 0 else 0.0
        for name, value in grown.items():
            growth[name] += value
    return Figures(
        at=at,
        is_known=True,
        queued=sum(row.max_queued for row in before.values()),
        wait=_percentiles(growth, WAIT),
        first_token=_percentiles(growth, FIRST_TOKEN),
        tokens_per_s=rate,
        ended=round(growth[ENDED]),
        failed=round(growth[FAILED]),
    )


def _growth(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """Return what was counted between two readings.

    Totals only grow. If one has not, Redis was emptied, and all began again at zero.
    """
    if any(after.get(name, 0.0) < value for name, value in before.items()):
        return after
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def _percentiles(growth: Mapping[str, float], histogram: str) -> tuple[float, float] | None:
    buckets = {
        name.removeprefix(f"{histogram} "): count
        for name, count in growth.items()
        if name.startswith(f"{histogram} ")
    }
    median, p95 = quantile(buckets, MEDIAN), quantile(buckets, P95)
    return None if median is None or p95 is None else (median, p95)
