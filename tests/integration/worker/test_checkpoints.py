"""Checkpoints: with the worker and Redis both lost, a response resumes from Postgres."""

from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.responses.checkpoint import Checkpoint
from models.responses.tokens import GeneratedToken
from models.streams.event_log import EventLog
from tests.integration.api.requests import (
    create,
    event_of,
    fetch,
    frames,
    stream,
    text_of,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.engine.interface import GenerationRequest
from worker.engine.scripted import ScriptedEngine
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

_TOKENS = 300  # nine seconds of the slow worker's, so that its lease is surely lost midway
_SLOW: dict[str, Any] = {"script_interval_ms": 30, "script_tokens": _TOKENS}
_OFTEN: dict[str, Any] = _SLOW | {"checkpoint_seconds": 0.02}
_SOON_ENDED: dict[str, Any] = _OFTEN | {"script_tokens": 60}
_FAST: dict[str, Any] = {"script_tokens": _TOKENS}
_REACHED = Checkpoint(
    next_sequence_number=9, tokens=(GeneratedToken(0, 256), GeneratedToken(0, 257))
)


@pytest.fixture
def _unaware(make_worker: MakeWorker, unaware_timings: WorkerTimings) -> None:
    """Start a worker that does not notice that its lease has expired, and goes on writing."""
    make_worker(**_OFTEN, timings=unaware_timings)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[GenerationRequest]:
    """Record the requests that any engine receives."""
    requests: list[GenerationRequest] = []
    submit = ScriptedEngine.submit

    def record_request(engine: ScriptedEngine, request: GenerationRequest) -> None:
        requests.append(request)
        submit(engine, request)

    monkeypatch.setattr(ScriptedEngine, "submit", record_request)
    return requests


def checkpoint_of(sql: RunSql, *, least: int = 1) -> Checkpoint:
    """Wait until the one response has a checkpoint of enough tokens; return the checkpoint."""

    def read_checkpoint() -> Checkpoint | None:
        [[data]] = sql("SELECT checkpoint FROM responses")
        found = Checkpoint.from_bytes(data) if data else None
        return found if found and len(found.tokens) >= least else None

    return eventually(read_checkpoint)


@pytest.mark.usefixtures("_unaware")
def test_it_works(
    http: FlaskClient,
    make_worker: MakeWorker,
    desk: Desk,
    maintenance: Maintenance,
    client: redis.Redis,
    submitted: list[GenerationRequest],
) -> None:
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    seen = [next(streamed) for _ in range(8)]
    reached = checkpoint_of(desk.sql, least=3)
    desk.lapse_leases()
    client.flushall()
    maintenance.reclaim()

    make_worker(**_FAST).run_queued().result()
    seen += streamed

    again = submitted[-1].generated
    assert again[: len(reached.tokens)] == [token_id for _, token_id in reached.tokens]
    assert seen == list(frames(stream(http, response["id"])))
    numbers = [event_of(frame)["sequence_number"] for frame in seen[:-1]]
    assert numbers == list(range(len(numbers)))
    assert fetch(http, response["id"])["usage"]["output_tokens"] == _TOKENS


def test_a_checkpoint_has_the_number_of_the_next_event(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, log: EventLog
) -> None:
    make_worker(**_SOON_ENDED)
    response = create(http)

    reached = checkpoint_of(sql, least=3)

    wait_for_end(http, response["id"])
    [[response_id]] = sql("SELECT id FROM responses")
    before = [
        event
        for event in log.read(response_id, start=2)
        if event.sequence_number < reached.next_sequence_number
    ]
    assert [token for event in before for token in event.token_ids] == [
        token_id for _, token_id in reached.tokens
    ]


def test_an_end_leaves_no_checkpoint(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(**_SOON_ENDED)
    response = create(http)
    checkpoint_of(sql)

    wait_for_end(http, response["id"])

    assert sql("SELECT checkpoint FROM responses") == [(None,)]


def test_they_can_be_switched_off(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker(**_SOON_ENDED | {"checkpoint_seconds": 0, "drain_seconds": 30})
    response = create(http)
    wait_for_text(http, response["id"])

    assert sql("SELECT checkpoint FROM responses") == [(None,)]
    worker.drain()
    assert fetch(http, response["id"])["status"] == "completed"


def test_a_hand_back_is_a_checkpoint_too(
    http: FlaskClient,
    make_worker: MakeWorker,
    client: redis.Redis,
    submitted: list[GenerationRequest],
) -> None:
    worker = make_worker(**_SLOW | {"drain_seconds": 0})
    response = create(http)
    wait_for_text(http, response["id"])
    worker.drain()
    client.flushall()

    make_worker(**_FAST).run_queued().result()

    assert submitted[-1].generated
    assert text_of(fetch(http, response["id"])).startswith("This answer is scripted")


def test_a_cancel_keeps_the_text_of_a_checkpoint(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis, sql: RunSql
) -> None:
    worker = make_worker(**_SLOW | {"drain_seconds": 0})
    response = create(http)
    wait_for_text(http, response["id"])
    worker.drain()
    client.flushall()
    sql("UPDATE responses SET cancel_requested = true")

    make_worker(**_FAST).run_queued().result()

    cancelled = fetch(http, response["id"])
    assert cancelled["status"] == "cancelled"
    assert text_of(cancelled).startswith("This")


def test_tokens_of_what_is_not_stored_never_reach_postgres(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    worker = make_worker(**_OFTEN | {"drain_seconds": 0})
    stored = create(http)
    unstored = frames(
        http.post("/v1/responses", json={"input": "Hi.", "store": False, "stream": True})
    )
    next(frame for frame in unstored if b"delta" in frame)
    eventually(lambda: sql("SELECT 1 FROM responses WHERE checkpoint IS NOT NULL"))

    worker.drain()

    assert fetch(http, stored["id"])["status"] == "queued"
    found = sql("SELECT status, store FROM responses WHERE checkpoint IS NULL")
    assert found == [("queued", False)]
    make_worker(**_FAST).run_queued().result()
    assert list(unstored)


def test_a_stale_attempt_writes_none(desk: Desk) -> None:
    stale = replace(desk.running(), checkpoint=_REACHED)
    desk.store.claims.hand_back([stale])
    current = replace(desk.claim(), checkpoint=_REACHED)

    assert desk.store.checkpoints.write([stale]) == set()
    assert desk.store.checkpoints.write([current]) == {current.id}
