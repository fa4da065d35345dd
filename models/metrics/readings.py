"""Readings of the metrics that the dashboard draws, one a minute and model.

A reading has totals, not differences: whoever reads any two of them knows what happened between,
and a reading that is missing makes no other one wrong.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from models.metrics.recorder import SUM, Series
from models.metrics.table import JOB_SECONDS, LAST_TOKEN_AGE, QUEUE_WAIT, TOKENS, TTFT
from models.metrics.totals import Snapshot
from models.responses.status import ResponseStatus

WAIT, FIRST_TOKEN = "wait", "ttft"
"""Names of histograms: the total of a bucket is named by them and its upper bound."""
OUTPUT_TOKENS, ENDED, FAILED = "output", "ended", "failed"
"""Names of the other totals."""
_HISTOGRAMS = {QUEUE_WAIT.name: WAIT, TTFT.name: FIRST_TOKEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Metrics of one model at one time."""

    model: str
    num_queued: int
    totals: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteReading:
    """Stored reading of one model at the beginning of a step of time."""

    minute: datetime
    model: str
    taken_at: datetime
    totals: Mapping[str, float]
    max_queued: int
    """Most responses that were queued at any reading within the step."""


def bucket(histogram: str, bound: str) -> str:
    """Return the name of the total of a bucket."""
    return f"{histogram} {bound}"


def take_readings(snapshot: Snapshot, queued: Mapping[str, int]) -> list[Reading]:
    """Return a reading of each model that has been counted, has a worker or has a queue."""
    totals: dict[str, dict[str, float]] = defaultdict(dict)
    for series, value in snapshot.totals.items():
        for model, name in _totals_of(series):
            totals[model][name] = totals[model].get(name, 0) + value
    working = {series.labels[0] for series in snapshot.gauges if series.name == LAST_TOKEN_AGE.name}
    return [
        Reading(model=model, num_queued=queued.get(model, 0), totals=totals.get(model, {}))
        for model in sorted({*totals, *queued, *working})
    ]


def _totals_of(series: Series) -> list[tuple[str, str]]:
    """Return the models and names of the totals that a series counts for."""
    if series.part == SUM:
        return []
    match series.labels:
        case [model] if series.name in _HISTOGRAMS:
            return [(model, bucket(_HISTOGRAMS[series.name], series.part))]
        case ["output", model] if series.name == TOKENS.name:
            return [(model, OUTPUT_TOKENS)]
        case [outcome, model] if series.name == JOB_SECONDS.name:
            is_failed = outcome == ResponseStatus.FAILED
            return [(model, ENDED), *([(model, FAILED)] if is_failed else [])]
    return []
