"""Figures of workers, as they publish them every two seconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.metrics.metric import Metric
from models.metrics.recorder import Series
from models.metrics.table import (
    LAST_TOKEN_AGE,
    WORKER_CACHE_HITS,
    WORKER_DRAINING,
    WORKER_PLACES,
    WORKER_ROWS,
    WORKER_SPEED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """Figures of one worker; None is unknown: it says nothing, or has nothing to say."""

    rows: int | None
    """Sequences in its batch."""
    places: int | None
    speed: float | None
    """Tokens per second."""
    cache_hits: float | None
    """Share of the tokens of prompts that its prefix cache had."""
    step_age_s: float | None
    """Seconds since its last step; 0 if it has nothing to generate."""
    is_draining: bool


def figures_of_worker(
    gauges: Mapping[Series, float], model: str, host: str, name: str
) -> WorkerFigures:
    """Return the figures of a worker from the gauges that processes have published."""

    def value(metric: Metric) -> float | None:
        return gauges.get(Series(metric.name, (model, host, name)))

    rows, places = value(WORKER_ROWS), value(WORKER_PLACES)
    return WorkerFigures(
        rows=None if rows is None else int(rows),
        places=None if places is None else int(places),
        speed=value(WORKER_SPEED),
        cache_hits=value(WORKER_CACHE_HITS),
        step_age_s=value(LAST_TOKEN_AGE),
        is_draining=bool(value(WORKER_DRAINING)),
    )
