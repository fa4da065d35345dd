"""Metrics of workers: tokens, their times, ends, and writes that come too late."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from models.metrics.table import (
    FENCED_WRITES,
    ITL,
    JOB_SECONDS,
    LAST_TOKEN_AGE,
    TOKENS,
    TTFT,
    VRAM_BYTES,
)
from models.profile.weights import SCRIPTED_MODEL
from tests.factories import id_made_before
from tests.integration.api.requests import cancel, create, create_and_wait, wait_for_text
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.metrics.moving import Readings, moves
from tests.polling import eventually
from worker.engine.scripted import ScriptedEngine
from worker.process.timings import WorkerTimings

_NUM_TOKENS = 20
_INTERVAL_S = 0.005


@moves(TTFT, ITL, TOKENS)
def test_tokens_and_their_times_are_measured_by_the_worker(
    http: FlaskClient, make_worker: MakeWorker, readings: Readings
) -> None:
    make_worker(script_tokens=_NUM_TOKENS, script_interval_ms=_INTERVAL_S * 1000)

    ended = [create_and_wait(http) for _ in range(2)]

    tokens = sum(response["usage"]["output_tokens"] for response in ended)
    assert tokens == 2 * _NUM_TOKENS
    given = sum(response["usage"]["input_tokens"] for response in ended)
    readings.wait_for(lambda num: num == given, TOKENS, dir="input", model=SCRIPTED_MODEL)
    assert readings.value(TOKENS, dir="output", model=SCRIPTED_MODEL) == tokens
    assert readings.value(TTFT, "_count", model=SCRIPTED_MODEL) == 2
    assert readings.value(ITL, "_count", model=SCRIPTED_MODEL) == tokens - 2
    mean_s = readings.value(ITL, "_sum") / (tokens - 2)
    assert _INTERVAL_S <= mean_s < 20 * _INTERVAL_S


def test_each_of_several_choices_has_a_first_token_and_the_response_one(
    http: FlaskClient, make_worker: MakeWorker, readings: Readings
) -> None:
    make_worker(script_tokens=_NUM_TOKENS)

    create_and_wait(http, n=3)

    readings.wait_for(lambda num: num == 3 * _NUM_TOKENS, TOKENS, dir="output")
    assert readings.value(TTFT, "_count") == 1
    assert readings.value(ITL, "_count") == 3 * (_NUM_TOKENS - 1)


@moves(JOB_SECONDS)
def test_the_time_of_a_response_is_counted_by_its_outcome(
    http: FlaskClient, desk: Desk, make_worker: MakeWorker, readings: Readings
) -> None:
    cancel(http, create(http)["id"])
    desk.create(id=id_made_before(20))

    make_worker().run_queued()

    readings.wait_for(lambda num: num == 1, JOB_SECONDS, "_count", outcome="completed")
    assert 20 <= readings.value(JOB_SECONDS, "_sum", outcome="completed") < 60
    assert readings.value(JOB_SECONDS, "_count", outcome="cancelled") == 1
    assert readings.value(JOB_SECONDS, "_sum", outcome="cancelled") < 10


@moves(LAST_TOKEN_AGE)
def test_the_age_of_the_last_token_grows_while_an_engine_hangs(
    http: FlaskClient,
    make_worker: MakeWorker,
    readings: Readings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = make_worker()
    assert readings.wait_for(lambda age_s: age_s == 0, LAST_TOKEN_AGE) == 0
    step = ScriptedEngine._step

    def hang(engine: ScriptedEngine) -> object:
        eventually(lambda: not is_hanging)
        return step(engine)

    is_hanging = [True]
    monkeypatch.setattr(ScriptedEngine, "_step", hang)
    create(http)

    readings.wait_for(lambda age_s: age_s > 0.5, LAST_TOKEN_AGE, worker="in-process")
    is_hanging.clear()
    worker.wait_idle()


@moves(VRAM_BYTES)
def test_the_memory_of_a_worker_on_a_cpu_is_what_is_resident(
    worker: InProcessWorker, readings: Readings
) -> None:
    num_bytes = readings.wait_for(lambda num: num > 0, VRAM_BYTES, device="cpu")

    assert 10 << 20 < num_bytes < 64 << 30


@moves(FENCED_WRITES)
def test_events_and_ends_of_a_stale_attempt_are_counted(
    http: FlaskClient,
    desk: Desk,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    readings: Readings,
) -> None:
    stale = make_worker(timings=unaware_timings, script_interval_ms=20, script_tokens=100)
    response = create(http)
    wait_for_text(http, response["id"])
    desk.lapse_leases()
    desk.store.reaper.reclaim()
    make_worker(timings=replace(unaware_timings, poll_s=0.05), script_tokens=100)

    readings.wait_for(lambda num: num >= 1, FENCED_WRITES, write="events")
    stale.wait_idle()

    cancelled = create(http)
    wait_for_text(http, cancelled["id"])
    desk.sql("UPDATE responses SET attempt = attempt + 1 WHERE status = 'in_progress'")
    readings.wait_for(lambda num: num >= 1, FENCED_WRITES, write="end")
