"""Redis out of memory: streams are delayed, but no response is lost."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from flask.testing import FlaskClient

from tests.integration.api.requests import create, events, fetch, stream, wait_for_end
from tests.integration.conftest import MakeWorker
from tests.integration.traces import keys_that_mention
from worker.process.timings import WorkerTimings


@pytest.fixture
def full(client: redis.Redis) -> Iterator[redis.Redis]:
    """Make Redis refuse every write until the test raises the limit."""
    client.config_set("maxmemory", 1)
    yield client
    client.config_set("maxmemory", 0)


@pytest.mark.usefixtures("full")
def test_what_is_accepted_completes_and_is_streamed_from_the_archive(
    http: FlaskClient, make_worker: MakeWorker, worker_timings: WorkerTimings
) -> None:
    make_worker(timings=replace(worker_timings, poll_s=0.05))

    streamed = events(stream(http, create(http)["id"]))

    assert streamed[-1]["type"] == "response.completed"
    assert [each["sequence_number"] for each in streamed] == list(range(len(streamed)))


@pytest.mark.usefixtures("full")
def test_what_would_live_in_it_alone_is_refused_until_later(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", "store": False})

    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_running_response_is_logged_again_once_there_is_room(
    http: FlaskClient, make_worker: MakeWorker, full: redis.Redis
) -> None:
    full.config_set("maxmemory", 0)
    make_worker(script_tokens=60, script_interval_ms=20)
    response = create(http)
    streamed = stream(http, response["id"])
    full.config_set("maxmemory", 1)
    assert fetch(http, response["id"])["status"] in ("queued", "in_progress")
    full.config_set("maxmemory", 0)

    whole = events(streamed)

    assert wait_for_end(http, response["id"])["status"] == "completed"
    assert whole == events(stream(http, response["id"]))
    assert keys_that_mention(full, response["id"].removeprefix("resp_"))
