"""Connections to Postgres that break during a commit: the outcome is found out, not repeated."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from models.errors import UnavailableError
from models.settings import Settings
from tests.integration.api.requests import (
    create,
    create_and_wait,
    events,
    parsed,
    stream,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker, RunSql, running_app, with_database
from tests.integration.in_process import InProcessWorker
from tests.integration.proxy import Proxy
from worker.process.timings import WorkerTimings

_ROWS = "SELECT status, attempt, num_crashes FROM responses"


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    parts = urlsplit(database_url)
    with Proxy((parts.hostname or "", parts.port or 0)) as made:
        yield made


@pytest.fixture
def through_proxy(settings: Settings, database_url: str, proxy: Proxy) -> Settings:
    port = urlsplit(database_url).port
    url = database_url.replace(f":{port}/", f":{proxy.port}/")
    return with_database(settings, url)


@pytest.fixture
def worker_timings(worker_timings: WorkerTimings) -> WorkerTimings:
    return replace(worker_timings, heartbeat_s=0.05, poll_s=0.05)


@pytest.mark.parametrize("statement", [b"event_archives", b"fair AS ("])
def test_a_worker_writes_an_end_once_and_keeps_no_claim_that_it_does_not_know_of(
    http: FlaskClient,
    proxy: Proxy,
    through_proxy: Settings,
    make_worker: MakeWorker,
    sql: RunSql,
    statement: bytes,
) -> None:
    # Before there is a worker, whose first claim in the order of flows is then that of it.
    created = create(http)
    proxy.swallows = statement
    make_worker(database_url=through_proxy.database_url, database_maintenance_url=None)

    response = wait_for_end(http, created["id"])

    assert proxy.swallows is None
    assert response["status"] == "completed"
    # A finish is looked up; a response whose claim got no answer goes back into the queue.
    attempts = 1 if statement == b"event_archives" else 2
    assert sql(_ROWS) == [("completed", attempts, 0)]
    streamed = events(stream(http, response["id"]))
    assert [each["sequence_number"] for each in streamed] == list(range(len(streamed)))
    assert sql("SELECT count(*) FROM event_archives") == [(1,)]


def test_a_claim_of_the_only_flow_goes_back_into_the_queue_if_its_answer_is_lost(
    http: FlaskClient,
    settings: Settings,
    proxy: Proxy,
    through_proxy: Settings,
    make_worker: MakeWorker,
    sql: RunSql,
) -> None:
    with InProcessWorker(settings):
        create_and_wait(http)  # its flow is known from now on
    created = create(http)
    proxy.swallows = b"sole AS MATERIALIZED"
    make_worker(database_url=through_proxy.database_url, database_maintenance_url=None)

    response = wait_for_end(http, created["id"])

    assert proxy.swallows is None
    assert response["status"] == "completed"
    assert sorted(sql(_ROWS)) == [("completed", 1, 0), ("completed", 2, 0)]


def test_a_request_whose_commit_is_unknown_is_found_by_its_key(
    http: FlaskClient, through_proxy: Settings, proxy: Proxy, sql: RunSql
) -> None:
    body = {"input": "Hello.", "background": True}
    key = {"idempotency-key": "one"}
    with running_app(through_proxy) as cut:
        proxy.swallows = b"COMMIT"
        refused = cut.test_client().post("/v1/responses", json=body, headers=key)

        again = cut.test_client().post("/v1/responses", json=body, headers=key)

    assert proxy.swallows is None
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert again.status_code == 200
    assert sql(_ROWS) == [("queued", 0, 0)]
    assert parsed(http.post("/v1/responses", json=body, headers=key))["id"] == parsed(again)["id"]


def test_a_request_that_was_stored_after_all_is_accepted(
    http: FlaskClient, app: OpenAPI, sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = app.extensions["antiphon"].store.responses
    store_it = responses.create

    def store_unseen(*values: Any, **options: Any) -> bool:
        created = store_it(*values, **options)
        if not options:
            raise UnavailableError("The connection was lost.")
        return bool(created)

    monkeypatch.setattr(responses, "create", store_unseen)
    monkeypatch.setattr(responses, "statuses", lambda _: {})  # the commit was not to be seen yet

    answer = create(http)

    assert answer["status"] == "queued"
    assert sql(_ROWS) == [("queued", 0, 0)]
