"""Drain of a worker: short responses end, the rest is queued again, and nothing is claimed."""

from itertools import islice
from typing import Any

import psycopg
import pytest
import redis
from flask.testing import FlaskClient

from models.profile.weights import SCRIPTED_MODEL
from tests.integration.api.requests import (
    create,
    create_and_wait,
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
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from worker.generation.registry import RunningResponses
from worker.main import END_S
from worker.queue import queue_name

_ENDLESS: dict[str, Any] = {"script_interval_ms": 30, "script_tokens": 100_000}
_SHORT: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 40, "drain_seconds": 30}
_SUCCESSOR: dict[str, Any] = {"script_tokens": 200}
"""Text that the endless response reaches only after its first worker's drain."""
_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def test_it_works(http: FlaskClient, make_worker: MakeWorker, sql: RunSql) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    worker.drain()

    assert fetch(http, response["id"])["status"] == "queued"
    assert sql("SELECT attempt, worker_id, num_crashes FROM responses") == [(1, None, 0)]


def test_every_response_that_runs_is_handed_back(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    worker = make_worker(**_ENDLESS)
    for response in [create(http) for _ in range(3)]:
        wait_for_text(http, response["id"])

    worker.drain()

    assert sql("SELECT status, count(*) FROM responses GROUP BY status") == [("queued", 3)]


def test_other_workers_get_a_wake_up_for_each_response_that_is_handed_back(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    worker = make_worker(**_ENDLESS)
    for response in [create(http) for _ in range(2)]:
        wait_for_text(http, response["id"])

    worker.drain()

    assert client.llen(queue_name(SCRIPTED_MODEL)) == 2


def test_another_worker_goes_on_in_the_same_stream(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    seen = list(islice(streamed, 6))

    worker.drain()
    make_worker(**_SUCCESSOR)
    seen += streamed

    assert seen == list(frames(stream(http, response["id"])))
    numbers = [event_of(frame)["sequence_number"] for frame in seen[:-1]]
    assert numbers == list(range(len(numbers)))


def test_the_text_is_that_of_an_undisturbed_run(http: FlaskClient, make_worker: MakeWorker) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    worker.drain()
    make_worker(**_SUCCESSOR)

    resumed, undisturbed = wait_for_end(http, response["id"]), create_and_wait(http)
    assert text_of(resumed) == text_of(undisturbed)
    assert resumed["usage"] == undisturbed["usage"]


def test_what_fits_into_the_drain_time_ends(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    worker = make_worker(**_SHORT)
    response = create(http)
    wait_for_text(http, response["id"])

    worker.drain()

    assert sql("SELECT status, attempt FROM responses") == [("completed", 1)]


def test_what_does_not_stop_is_handed_back_before_the_worker_has_to_end(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    worker = make_worker(drain_seconds=60)

    def wait_in_vain(_: RunningResponses, timeout_s: float) -> bool:
        waited.append(timeout_s)
        return False

    with monkeypatch.context() as patched:
        patched.setattr(RunningResponses, "wait_empty", wait_in_vain)
        worker.drain()

    assert waited[0] == 60
    assert sum(waited) < 60 + END_S


def test_nothing_is_claimed_after_the_drain(worker: InProcessWorker, desk: Desk) -> None:
    worker.drain()
    desk.create()

    worker.run_queued().result()

    assert desk.sql("SELECT status, attempt FROM responses") == [("queued", 0)]


def test_a_claim_that_meets_the_drain_is_handed_back(
    worker: InProcessWorker, desk: Desk, database_url: str, client: redis.Redis
) -> None:
    desk.create()
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE responses IN EXCLUSIVE MODE")
        task = worker.run_queued()
        eventually(lambda: desk.sql(_BLOCKED))

        worker.drain()

    task.result()
    found = desk.sql("SELECT status, attempt, num_crashes FROM responses")
    assert found == [("queued", 1, 0)]
    assert client.llen(queue_name(SCRIPTED_MODEL)) == 1
