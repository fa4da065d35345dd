"""Metrics of one worker: its batch, its speed, its prefix cache, and its drain."""

from flask.testing import FlaskClient

from models.metrics.table import (
    WORKER_CACHE_HITS,
    WORKER_DRAINING,
    WORKER_PLACES,
    WORKER_ROWS,
    WORKER_SPEED,
)
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.api.requests import create
from tests.integration.conftest import MakeWorker
from tests.integration.metrics.moving import Readings, moves

_LABELS = {"model": SCRIPTED_MODEL, "worker": "in-process"}


@moves(WORKER_ROWS, WORKER_PLACES, WORKER_SPEED, WORKER_CACHE_HITS, WORKER_DRAINING)
def test_a_worker_publishes_what_it_does(
    http: FlaskClient, make_worker: MakeWorker, readings: Readings
) -> None:
    worker = make_worker(max_sequences=5, script_interval_ms=20, script_tokens=2000)
    for _ in range(2):
        create(http)

    readings.wait_for(lambda num: num == 2, WORKER_ROWS, **_LABELS)
    assert readings.value(WORKER_PLACES, **_LABELS) == 5
    readings.wait_for(lambda speed: 0 < speed <= 120, WORKER_SPEED, **_LABELS)
    assert readings.value(WORKER_CACHE_HITS, **_LABELS) == 0
    assert "antiphon_worker_cache_hit_ratio{" in readings.text()
    assert readings.value(WORKER_DRAINING, **_LABELS) == 0

    worker.drain()
    readings.wait_for(lambda draining: draining == 1, WORKER_DRAINING, **_LABELS)
