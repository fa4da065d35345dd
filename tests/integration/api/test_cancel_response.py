"""POST /v1/responses/{id}/cancel: ends a response in any state and keeps the text it has."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import islice
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.streaming.timings import StreamTimings
from models.ids import new_id, response_wire_id
from models.recording.recorder import Recorder
from models.settings import Settings
from models.streams.event_log import EventLog
from tests.factories import say
from tests.integration.api.requests import (
    DONE,
    cancel,
    create,
    create_and_wait,
    error_of,
    event_of,
    events,
    fetch,
    frames,
    parsed,
    stream,
    text_of,
    wait_for_text,
)
from tests.integration.conftest import NO_REDIS, MakeWorker, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.integration.in_process import InProcessWorker
from tests.polling import PATIENCE_S, eventually

_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}

# Gives up on a silent worker at once.
_impatient = pytest.mark.parametrize(
    "stream_timings", [StreamTimings(cancel_s=0.05, confirm_s=0.05)]
)


def test_it_works(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert fetch(http, response["id"]) == cancelled


def test_cancel_while_queued_ends_the_response_at_once(http: FlaskClient) -> None:
    response = create(http)

    cancelled = cancel(http, response["id"])

    assert cancelled == response | {"status": "cancelled"}


def test_cancel_while_queued_never_reaches_the_engine(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    response = create(http)
    cancelled = cancel(http, response["id"])

    make_worker().run_queued().result()

    assert fetch(http, response["id"]) == cancelled
    assert sql("SELECT started_at FROM responses") == [(None,)]


def test_cancel_while_queued_ends_an_open_stream(app: OpenAPI, http: FlaskClient) -> None:
    response = create(http)
    streamed = frames(stream(app.test_client(), response["id"]))
    opened = list(islice(streamed, 2))

    cancel(http, response["id"])
    *_, last, done = [*opened, *streamed]

    assert event_of(last)["type"] == "response.incomplete"
    assert event_of(last)["response"]["status"] == "cancelled"
    assert done == DONE


def test_cancel_while_running_waits_for_no_end(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])
    began_at = time.perf_counter()

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert time.perf_counter() - began_at < 10


def test_cancel_while_running_is_carried_out_by_the_worker(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    cancel(http, response["id"])

    worker.wait_idle()
    assert sql("SELECT attempt, status FROM responses") == [(1, "cancelled")]


def test_cancel_while_running_keeps_the_text_so_far(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    cancelled = cancel(http, response["id"])

    streamed = events(stream(http, response["id"]))
    text = "".join(event.get("delta", "") for event in streamed)
    assert text_of(cancelled) == text != ""
    assert [item["status"] for item in cancelled["output"]] == ["incomplete"]
    assert cancelled["usage"]["output_tokens"] > 0


def test_cancelling_again_changes_nothing(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])
    cancelled = cancel(http, response["id"])

    assert cancel(http, response["id"]) == cancelled


def test_clients_that_cancel_at_the_same_time_get_the_same_answer(
    app: OpenAPI, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    with ThreadPoolExecutor(4) as clients:
        cancels = [clients.submit(cancel, app.test_client(), response["id"]) for _ in range(4)]
        answers = [future.result() for future in cancels]

    assert answers == [fetch(http, response["id"])] * 4
    assert answers[0]["status"] == "cancelled"


def test_cancel_after_completion_changes_nothing(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    completed = create_and_wait(http)

    assert cancel(http, completed["id"]) == completed
    assert fetch(http, completed["id"])["status"] == "completed"


@_impatient
def test_a_silent_worker_does_not_keep_its_response(
    http: FlaskClient, desk: Desk, log: EventLog
) -> None:
    response = create(http)
    recorder = Recorder(desk.claim(), log)
    recorder.begin()
    say(recorder, "So far", [1])
    recorder.flush()

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert text_of(cancelled) == "So far"
    assert cancelled["output"][0]["status"] == "incomplete"


@_impatient
def test_a_silent_worker_that_finishes_later_changes_nothing(
    http: FlaskClient, desk: Desk, log: EventLog
) -> None:
    response = create(http)
    claimed = desk.claim()
    recorder = Recorder(claimed, log)
    cancelled = cancel(http, response["id"])
    seen = events(stream(http, response["id"]))

    recorder.begin()
    say(recorder, "Too late", [1])
    recorder.flush()

    assert not desk.finish(claimed)
    assert fetch(http, response["id"]) == cancelled
    assert events(stream(http, response["id"])) == seen


@_impatient
def test_a_stream_ends_when_the_worker_is_silent(
    app: OpenAPI, http: FlaskClient, desk: Desk
) -> None:
    response = create(http)
    desk.claim()
    streamed = frames(stream(app.test_client(), response["id"]))
    opened = list(islice(streamed, 2))

    cancel(http, response["id"])
    *_, last, done = [*opened, *streamed]

    assert event_of(last)["response"]["status"] == "cancelled"
    assert done == DONE


def test_a_queued_response_can_be_cancelled_while_valkey_is_out_of_reach(
    http: FlaskClient, settings: Settings
) -> None:
    response = create(http)

    with running_app(settings.model_copy(update=NO_REDIS)) as cut_off:
        cancelled = cancel(cut_off.test_client(), response["id"])

    assert cancelled["status"] == "cancelled"
    assert events(stream(http, response["id"]))[-1]["response"] == cancelled


@_impatient
def test_a_running_response_can_be_cancelled_while_valkey_is_out_of_reach(
    http: FlaskClient, settings: Settings, stream_timings: StreamTimings, desk: Desk
) -> None:
    response = create(http)
    desk.claim()

    with running_app(settings.model_copy(update=NO_REDIS), stream_timings) as cut_off:
        cancelled = cancel(cut_off.test_client(), response["id"])

    assert cancelled["status"] == "cancelled"


def test_a_foreground_response_is_not_cancelled_this_way(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = parsed(http.post("/v1/responses", json={"input": "Hello."}))

    answer = http.post(f"/v1/responses/{response['id']}/cancel")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "response_id"


@_impatient
@pytest.mark.parametrize("script", [None, {"script_interval_ms": 10, "script_tokens": 150}])
def test_a_foreground_response_is_cancelled_when_its_client_goes(
    app: OpenAPI,
    make_worker: MakeWorker,
    sql: RunSql,
    script: dict[str, Any] | None,
) -> None:
    if script:
        make_worker(**script)

    with (
        serving(app) as address,
        contextlib.closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection,
    ):
        body, headers = b'{"input": "Hello."}', {"Content-Type": "application/json"}
        connection.request("POST", "/v1/responses", body, headers)
        eventually(lambda: sql("SELECT 1 FROM responses"))
        connection.close()
        eventually(lambda: sql("SELECT 1 FROM responses WHERE finished_at IS NOT NULL"))

    eventually(lambda: sql("SELECT 1 FROM responses WHERE finished_at IS NOT NULL"))
    assert sql("SELECT status FROM responses") == [("cancelled",)]


@pytest.mark.parametrize("wire_id", [response_wire_id(new_id()), "resp_x"])
def test_an_unknown_id_is_not_found(http: FlaskClient, wire_id: str) -> None:
    answer = http.post(f"/v1/responses/{wire_id}/cancel")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_a_response_of_another_project_is_not_found_and_goes_on(
    http: FlaskClient, desk: Desk
) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))

    answer = http.post(f"/v1/responses/{response_wire_id(foreign.id)}/cancel")

    assert answer.status_code == 404
    assert desk.status(foreign) == "queued"
