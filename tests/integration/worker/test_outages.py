"""Outages of servers at the worst moments: nothing is lost, duplicated or stuck."""

from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.errors import UnavailableError
from models.settings import Settings
from models.store.finish import Finisher
from models.streams.unstored import UnstoredContents
from tests.integration.api.requests import create, event_of, events, frames, stream, wait_for_end
from tests.integration.conftest import NO_REDIS, MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.process.runtime import Runtime
from worker.process.timings import WorkerTimings

_UNSTORED = {"input": "Hello.", "store": False, "stream": True}


def cut_off_finish(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Cut the connection of the first finish, before or after its commit."""
    finish, faults = Finisher.finish, [UnavailableError()]

    def cut_off(*arguments: Any) -> Any:
        if not faults:
            return finish(*arguments)
        if after:
            finish(*arguments)
        raise faults.pop()

    monkeypatch.setattr(Finisher, "finish", cut_off)


@pytest.mark.parametrize("after", [False, True])
def test_an_end_whose_commit_is_cut_off_is_written_once_and_published(
    http: FlaskClient,
    make_worker: MakeWorker,
    worker_timings: WorkerTimings,
    sql: RunSql,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    cut_off_finish(monkeypatch, after=after)
    make_worker(timings=replace(worker_timings, retry_s=0.02))

    streamed = events(http.post("/v1/responses", json=_UNSTORED))

    assert streamed[-1]["type"] == "response.completed"
    assert sql("SELECT status, attempt FROM responses") == [("completed", 1)]


def test_a_worker_without_redis_finds_what_is_queued(
    http: FlaskClient, settings: Settings, worker_timings: WorkerTimings
) -> None:
    timings = replace(worker_timings, poll_s=0.05)
    runtime = Runtime(settings.model_copy(update=NO_REDIS), "cut off", timings=timings)
    runtime.start()
    try:
        assert wait_for_end(http, create(http)["id"])["status"] == "completed"
    finally:
        runtime.drain()
        runtime.stop()


def test_content_that_cannot_be_read_now_is_read_later(
    http: FlaskClient,
    make_worker: MakeWorker,
    worker_timings: WorkerTimings,
    sql: RunSql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get, faults = UnstoredContents.get, [redis.ConnectionError()]

    def get_after_a_fault(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return get(*arguments)

    monkeypatch.setattr(UnstoredContents, "get", get_after_a_fault)
    worker = make_worker(timings=replace(worker_timings, redis_away_s=0))
    streamed = frames(http.post("/v1/responses", json=_UNSTORED))
    next(streamed)
    # Workers also poll: one may have claimed it again by now.
    was_handed_back = "attempt > 1 OR (attempt = 1 AND status = 'queued')"
    eventually(lambda: sql(f"SELECT 1 FROM responses WHERE {was_handed_back}"))

    worker.run_queued()

    *_, last, _done = streamed
    assert event_of(last)["type"] == "response.completed"


def test_what_cannot_be_read_now_holds_up_nothing_behind_it(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise redis.ConnectionError

    monkeypatch.setattr(UnstoredContents, "get", fail)
    unstored = desk.create(store=False, parameters={})
    behind = desk.create()

    make_worker(max_sequences=1).run_queued().result()

    assert desk.status(behind) == "completed"
    assert desk.status(unstored) == "queued"


def test_a_cancel_in_a_lost_workers_place_keeps_the_text_that_only_a_checkpoint_has(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, client: redis.Redis
) -> None:
    worker = make_worker(script_interval_ms=30, script_tokens=100, drain_seconds=0)
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    seen = [next(streamed) for _ in range(8)]
    worker.drain()
    client.flushall()
    desk.claim()

    http.post(f"/v1/responses/{response['id']}/cancel")
    make_worker().run_queued().result()

    seen += streamed
    assert event_of(seen[-2])["response"]["status"] == "cancelled"
    assert seen == list(frames(stream(http, response["id"])))
