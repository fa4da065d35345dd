"""Readings of a made-up day, for the picture of the graphs: a working day of one model."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from models.metrics.readings import ENDED, FAILED, FIRST_TOKEN, OUTPUT_TOKENS, WAIT, bucket

_MINUTES = 24 * 60
_BOUNDS = ("0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0")
_CAPACITY = 46
"""Responses that end in a minute, at most."""
_ADD = "INSERT INTO metric_minutes VALUES (%s, %s, %s, %s, CAST(%s AS json)) ON CONFLICT DO NOTHING"


def write_day(run_sql: Callable[..., Any], model: str) -> None:
    """Write the readings of a model's last 24 hours, without those that are there."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minute, (num_queued, totals) in enumerate(_readings(random.Random(17))):
        at = now - timedelta(minutes=_MINUTES - 1 - minute)
        run_sql(_ADD, [at, model, at, num_queued, json.dumps(totals)])


def _readings(chance: random.Random) -> Iterator[tuple[int, Counter[str]]]:
    """Yield the length of the queue and the totals, minute by minute."""
    totals: Counter[str] = Counter()
    num_queued = 0
    for minute in range(_MINUTES):
        yield num_queued, totals
        rate = 6 + 38 * math.exp(-(((minute - 900) / 210) ** 2)) + 14 * (620 < minute < 655)
        num_queued += max(0, round(chance.gauss(rate, 5)))
        ended = min(num_queued, _CAPACITY)
        num_queued -= ended
        failed = sum(chance.random() < 0.004 for _ in range(ended))
        totals = totals + Counter(
            {OUTPUT_TOKENS: round(ended * chance.gauss(240, 15)), ENDED: ended, FAILED: failed}
        )
        for _ in range(ended):
            wait_s = 60 * num_queued / _CAPACITY + chance.expovariate(2.0)
            totals[bucket(WAIT, _bound(wait_s))] += 1
            totals[bucket(FIRST_TOKEN, _bound(wait_s + chance.uniform(0.1, 0.5)))] += 1


def _bound(seconds: float) -> str:
    """Return the upper bound of the bucket that has a time."""
    return next((bound for bound in _BOUNDS if seconds <= float(bound)), _BOUNDS[-1])
