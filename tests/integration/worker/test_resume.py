"""Resumption of a response whose worker was lost midway, without a visible gap."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import (
    create,
    event_of,
    events,
    fetch,
    frames,
    stream,
    text_of,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import NO_REDIS, MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from worker.maintenance.maintenance import Maintenance
from worker.process.runtime import Runtime
from worker.process.timings import WorkerTimings

_TOKENS = 300  # nine seconds of the slow worker's, so that its lease is surely lost midway
_SLOW: dict[str, Any] = {"script_interval_ms": 30, "script_tokens": _TOKENS}
_FAST: dict[str, Any] = {"script_interval_ms": 1, "script_tokens": _TOKENS}


@pytest.fixture
def first(make_worker: MakeWorker, unaware_timings: WorkerTimings) -> InProcessWorker:
    return make_worker(**_SLOW, timings=unaware_timings)


@pytest.fixture
def lost_response(
    http: FlaskClient, first: InProcessWorker, desk: Desk, maintenance: Maintenance
) -> dict[str, Any]:
    """Return a response with text that was queued again while its first worker still writes."""
    response = create(http)
    wait_for_text(http, response["id"])
    desk.lapse_leases()
    maintenance.reclaim()
    return response


@pytest.fixture
def lost_temporary_response(
    http: FlaskClient, first: InProcessWorker, desk: Desk, maintenance: Maintenance
) -> dict[str, Any]:
    """Return the same of a response that is not stored."""
    response = create(http, store=False)
    wait_for_text(http, response["id"])
    desk.lapse_leases()
    maintenance.reclaim()
    return response


@pytest.fixture
def without_redis(settings: Settings, worker_timings: WorkerTimings) -> Iterator[Runtime]:
    """Yield the runtime of a worker that cannot reach Redis."""
    changed = settings.model_copy(update=_FAST | NO_REDIS)
    runtime = Runtime(changed, "cut off", timings=worker_timings)
    runtime.start()
    yield runtime
    runtime.drain()
    runtime.stop()


def undisturbed_response(http: FlaskClient, worker: InProcessWorker) -> dict[str, Any]:
    """Return a response that one worker ran from beginning to end."""
    response = create(http)
    worker.run_queued()
    return wait_for_end(http, response["id"])


def test_it_works(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any], desk: Desk
) -> None:
    make_worker(**_FAST).run_queued().result()

    assert fetch(http, lost_response["id"])["status"] == "completed"
    assert desk.sql("SELECT attempt, num_crashes FROM responses") == [(2, 1)]


def test_the_response_is_that_of_an_undisturbed_run(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any]
) -> None:
    second = make_worker(**_FAST)
    second.run_queued().result()

    resumed, whole = fetch(http, lost_response["id"]), undisturbed_response(http, second)

    assert text_of(resumed) == text_of(whole)
    assert resumed["usage"] == whole["usage"]


def test_the_events_are_those_of_an_undisturbed_run(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any]
) -> None:
    second = make_worker(**_FAST)
    second.run_queued().result()
    whole = undisturbed_response(http, second)

    resumed, expected = (
        events(stream(http, response["id"])) for response in (lost_response, whole)
    )

    assert [event["sequence_number"] for event in resumed] == list(range(len(expected)))
    assert [(event["type"], event.get("delta")) for event in resumed] == [
        (event["type"], event.get("delta")) for event in expected
    ]


def test_an_open_stream_goes_on_across_the_change(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any]
) -> None:
    streamed = frames(stream(http, lost_response["id"]))
    seen = [next(streamed) for _ in range(6)]

    make_worker(**_FAST).run_queued().result()
    seen += streamed

    assert seen == list(frames(stream(http, lost_response["id"])))


def test_the_first_workers_late_writes_change_nothing(
    http: FlaskClient,
    make_worker: MakeWorker,
    lost_response: dict[str, Any],
    first: InProcessWorker,
) -> None:
    make_worker(**_FAST).run_queued().result()
    ended = fetch(http, lost_response["id"])
    seen = list(frames(stream(http, lost_response["id"])))

    first.wait_idle()

    assert fetch(http, lost_response["id"]) == ended
    assert list(frames(stream(http, lost_response["id"]))) == seen


def test_the_first_worker_stops_once_it_is_shut_out(
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
) -> None:
    first = make_worker(script_interval_ms=10, script_tokens=100_000, timings=unaware_timings)
    response = create(http)
    wait_for_text(http, response["id"])
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker(**_FAST).run_queued().result()

    first.wait_idle()
    assert fetch(http, response["id"])["status"] == "completed"


def test_a_flushed_valkey_costs_no_event(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any], client: redis.Redis
) -> None:
    streamed = frames(stream(http, lost_response["id"]))
    seen = [next(streamed) for _ in range(6)]
    client.flushall()

    make_worker(**_FAST).run_queued().result()
    seen += streamed

    assert seen == list(frames(stream(http, lost_response["id"])))
    numbers = [event_of(frame)["sequence_number"] for frame in seen[:-1]]
    assert numbers == list(range(len(numbers)))


def test_a_flushed_valkey_does_not_change_the_text(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any], client: redis.Redis
) -> None:
    client.flushall()
    second = make_worker(**_FAST)
    second.run_queued().result()

    assert text_of(fetch(http, lost_response["id"])) == text_of(undisturbed_response(http, second))


def test_a_valkey_out_of_reach_does_not_cost_the_response(
    http: FlaskClient, lost_response: dict[str, Any], without_redis: Runtime
) -> None:
    without_redis.run_queued()

    assert fetch(http, lost_response["id"])["status"] == "completed"


def test_a_response_that_is_cancelled_meanwhile_keeps_the_text_it_had(
    http: FlaskClient, make_worker: MakeWorker, lost_response: dict[str, Any], desk: Desk
) -> None:
    desk.sql("UPDATE responses SET cancel_requested = true")

    make_worker(**_FAST).run_queued().result()

    response = fetch(http, lost_response["id"])
    assert response["status"] == "cancelled"
    assert text_of(response).startswith("This")


@pytest.mark.usefixtures("first")
def test_a_response_that_is_not_stored_goes_on_too(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, maintenance: Maintenance
) -> None:
    body = {"input": "Hello.", "store": False, "stream": True}
    streamed = frames(http.post("/v1/responses", json=body))
    seen = [next(streamed) for _ in range(6)]
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker(**_FAST).run_queued().result()
    *seen, _done = [*seen, *streamed]

    last = event_of(seen[-1])
    assert last["type"] == "response.completed"
    assert text_of(last["response"]) == "".join(event_of(frame).get("delta", "") for frame in seen)


def test_a_temporary_response_goes_on_too(
    http: FlaskClient, make_worker: MakeWorker, lost_temporary_response: dict[str, Any], desk: Desk
) -> None:
    streamed = frames(stream(http, lost_temporary_response["id"]))
    seen = [next(streamed) for _ in range(6)]
    second = make_worker(**_FAST)

    second.run_queued().result()
    seen += streamed

    ended = fetch(http, lost_temporary_response["id"])
    assert desk.sql("SELECT status, attempt FROM responses") == [("completed", 2)]
    assert text_of(ended) == text_of(undisturbed_response(http, second))
    assert seen == list(frames(stream(http, lost_temporary_response["id"])))
    assert [event_of(frame)["sequence_number"] for frame in seen[:-1]] == list(range(len(seen) - 1))


def test_the_first_workers_late_end_of_a_temporary_response_changes_nothing(
    http: FlaskClient,
    make_worker: MakeWorker,
    lost_temporary_response: dict[str, Any],
    first: InProcessWorker,
) -> None:
    make_worker(**_FAST).run_queued().result()
    ended = fetch(http, lost_temporary_response["id"])
    seen = list(frames(stream(http, lost_temporary_response["id"])))

    first.wait_idle()

    assert fetch(http, lost_temporary_response["id"]) == ended
    assert list(frames(stream(http, lost_temporary_response["id"]))) == seen


def test_a_temporary_response_that_has_lost_its_content_with_its_worker_fails(
    http: FlaskClient,
    make_worker: MakeWorker,
    lost_temporary_response: dict[str, Any],
    client: redis.Redis,
) -> None:
    streamed = frames(stream(http, lost_temporary_response["id"]))
    seen = [next(streamed) for _ in range(6)]
    client.flushall()

    make_worker(**_FAST).run_queued().result()
    *_, last, _done = [*seen, *streamed]

    failed = fetch(http, lost_temporary_response["id"])
    assert failed["status"] == "failed"
    assert "send it again" in failed["error"]["message"]
    # Unless the first worker has logged its events again, the stream has shown more than that.
    assert event_of(last)["type"] in ("response.failed", "error")
    assert events(stream(http, lost_temporary_response["id"]))[-1]["response"] == failed
