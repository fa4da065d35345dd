"""`store: false` in the background: it can be read until some time after its end, and no longer."""

from itertools import islice
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.streaming.timings import StreamTimings
from models.settings import Settings
from models.streams.unstored import QUEUED_TTL_S, UnstoredContents
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
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.traces import keys_that_mention, rows_that_mention
from tests.polling import eventually
from worker.maintenance.retention import Retention

_MARKER = "swordfish"
_ANSWER = "no model has read"
_BODY: dict[str, Any] = {
    "input": [
        {"role": "user", "content": "Hello."},
        {"role": "user", "content": f"The password is {_MARKER}."},
    ],
    "instructions": f"Never say {_MARKER}.",
    "metadata": {_MARKER: _MARKER},
    "background": True,
    "store": False,
}
_SLOW: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100}
_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}
_SILENT = pytest.mark.parametrize(
    "stream_timings", [StreamTimings(cancel_s=0.05, confirm_s=0.05, watch_s=0.02)]
)


def post(http: FlaskClient, **more: Any) -> dict[str, Any]:
    return create(http, **_BODY | more)


def let_lapse(sql: RunSql) -> None:
    """Move the end of every response so far back that it can no longer be read."""
    sql("UPDATE responses SET finished_at = finished_at - interval '601 s'")


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    queued = post(http)
    ended = wait_for_end(http, queued["id"])

    assert (queued["status"], queued["store"], queued["background"]) == ("queued", False, True)
    assert (ended["status"], ended["store"]) == ("completed", False)
    assert ended["instructions"] == _BODY["instructions"]
    assert ended["metadata"] == _BODY["metadata"]
    assert _ANSWER in text_of(ended)
    assert ended["usage"]["output_tokens"] > 0


def test_it_is_what_a_stored_one_is(http: FlaskClient, worker: InProcessWorker) -> None:
    temporary, stored = (
        wait_for_end(http, post(http, store=store)["id"]) for store in (False, True)
    )

    assert set(temporary) == set(stored)
    differing = {name for name in stored if temporary[name] != stored[name]}
    assert differing <= {"id", "created_at", "completed_at", "store", "output"}
    assert text_of(temporary) == text_of(stored)


def test_its_object_is_that_of_its_terminal_event(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    ended = wait_for_end(http, post(http)["id"])

    assert events(stream(http, ended["id"]))[-1]["response"] == ended


def test_it_can_be_read_while_it_waits_and_while_it_runs(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    queued = post(http)
    assert fetch(http, queued["id"]) == queued

    make_worker(**_ENDLESS)
    wait_for_text(http, queued["id"])

    running = fetch(http, queued["id"])
    assert running == queued | {"status": "in_progress"}


def test_its_stream_can_be_resumed_at_any_event_while_it_runs_and_afterwards(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_SLOW)
    streamed = frames(http.post("/v1/responses", json=_BODY | {"stream": True}))
    seen = list(islice(streamed, 8))
    response_id = event_of(seen[0])["response"]["id"]

    live = list(frames(stream(http, response_id, after=3)))
    whole = [*seen, *streamed]

    assert live == whole[4:]
    for after in (0, 7, len(whole) - 3):
        assert list(frames(stream(http, response_id, after=after))) == whole[after + 1 :]
    assert list(frames(stream(http, response_id))) == whole
    assert whole[-1] == DONE


def test_its_input_items_are_listed_as_those_of_others(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = wait_for_end(http, post(http)["id"])
    path = f"/v1/responses/{response['id']}/input_items"

    both = parsed(http.get(f"{path}?order=asc"))
    first = parsed(http.get(f"{path}?order=asc&limit=1"))
    second = parsed(http.get(f"{path}?order=asc&limit=1&after={first['last_id']}"))
    last_first = parsed(http.get(path))

    texts = [item["content"][0]["text"] for item in both["data"]]
    assert texts == ["Hello.", f"The password is {_MARKER}."]
    assert (first["data"], first["has_more"]) == (both["data"][:1], True)
    assert (second["data"], second["has_more"]) == (both["data"][1:], False)
    assert last_first["data"] == both["data"][::-1]
    assert error_of(http.get(f"{path}?after=msg_none"))["param"] == "after"


def test_cancel_ends_it_while_it_waits(http: FlaskClient) -> None:
    response = post(http)

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert cancelled["instructions"] == _BODY["instructions"]
    assert fetch(http, response["id"]) == cancelled
    assert events(stream(http, response["id"]))[-1]["response"] == cancelled


def test_cancel_ends_it_while_it_runs_and_keeps_its_text(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS)
    response = post(http)
    wait_for_text(http, response["id"])

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert text_of(cancelled)
    assert cancelled["instructions"] == _BODY["instructions"]


@_SILENT
def test_the_api_ends_it_in_the_place_of_a_worker_that_does_not_answer(
    http: FlaskClient, desk: Desk
) -> None:
    response = post(http)
    desk.claim()

    cancelled = cancel(http, response["id"])

    assert cancelled["status"] == "cancelled"
    assert cancelled["instructions"] == _BODY["instructions"]
    assert events(stream(http, response["id"]))[-1]["response"] == cancelled


def test_it_is_in_no_list_and_cannot_be_continued(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = wait_for_end(http, post(http)["id"])

    assert parsed(http.get("/v1/responses"))["data"] == []
    answer = http.post(
        "/v1/responses", json={"input": "And?", "previous_response_id": response["id"]}
    )
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "previous_response_not_found"


def test_it_can_continue_a_stored_one(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http, input="One.")

    second = wait_for_end(http, post(http, previous_response_id=first["id"])["id"])

    assert second["previous_response_id"] == first["id"]
    assert len(parsed(http.get(f"/v1/responses/{second['id']}/input_items"))["data"]) == 2


def test_a_request_that_is_repeated_finds_it(http: FlaskClient, worker: InProcessWorker) -> None:
    headers = {"Idempotency-Key": "once"}
    first = parsed(http.post("/v1/responses", json=_BODY, headers=headers))
    ended = wait_for_end(http, first["id"])

    again = parsed(http.post("/v1/responses", json=_BODY, headers=headers))
    streamed = http.post("/v1/responses", json=_BODY, headers=headers)

    assert again == ended
    assert parsed(streamed) == ended


@pytest.mark.parametrize("state", ["queued", "running", "ended"])
def test_what_is_deleted_is_gone(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, client: redis.Redis, state: str
) -> None:
    worker = None if state == "queued" else make_worker(**_SLOW)
    response = post(http)
    if state == "running":
        wait_for_text(http, response["id"])
    elif state == "ended":
        wait_for_end(http, response["id"])

    answer = http.delete(f"/v1/responses/{response['id']}")

    assert answer.status_code == 200
    assert http.get(f"/v1/responses/{response['id']}").status_code == 404
    if worker is not None:
        worker.wait_idle()
    needle = response["id"].removeprefix("resp_")
    assert rows_that_mention(sql, needle) == []
    assert keys_that_mention(client, needle) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "?stream=true&starting_after=2"),
        ("GET", "/input_items"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_no_route_finds_it_after_its_time(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql, method: str, path: str
) -> None:
    response = wait_for_end(http, post(http)["id"])
    let_lapse(sql)

    answer = http.open(f"/v1/responses/{response['id']}{path}", method=method)

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_a_request_that_is_repeated_after_its_time_is_not_answered(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = parsed(http.post("/v1/responses", json=_BODY, headers=headers))
    wait_for_end(http, first["id"])
    let_lapse(sql)

    assert http.post("/v1/responses", json=_BODY, headers=headers).status_code == 404


def test_its_time_is_a_setting_and_ends_in_valkey_too(
    settings: Settings, make_worker: MakeWorker, client: redis.Redis
) -> None:
    brief: dict[str, Any] = {"unstored_seconds": 1}
    make_worker(**brief)
    with running_app(settings.model_copy(update=brief)) as app:
        http = app.test_client()
        response = wait_for_end(http, post(http)["id"])
        path = f"/v1/responses/{response['id']}"

        eventually(lambda: http.get(path).status_code == 404)

    eventually(lambda: client.keys("antiphon:unstored*") == [])


def test_maintenance_deletes_its_row_and_its_log_after_its_time(
    http: FlaskClient,
    worker: InProcessWorker,
    sql: RunSql,
    client: redis.Redis,
    retention: Retention,
) -> None:
    response = wait_for_end(http, post(http)["id"])
    needle = response["id"].removeprefix("resp_")

    retention.sweep()
    assert fetch(http, response["id"]) == response
    let_lapse(sql)
    retention.sweep()

    assert sql("SELECT id FROM responses") == []
    assert keys_that_mention(client, needle) == []


def test_one_that_has_not_ended_does_not_lapse(
    http: FlaskClient, sql: RunSql, client: redis.Redis, retention: Retention
) -> None:
    response = post(http)
    [key] = client.keys("antiphon:unstored*")
    client.expire(key, 5)

    retention.sweep()

    assert client.ttl(key) > QUEUED_TTL_S - 60
    assert fetch(http, response["id"]) == response


def test_one_whose_content_is_lost_while_it_waits_fails_when_it_is_read(
    http: FlaskClient, client: redis.Redis
) -> None:
    response = post(http)
    client.flushall()

    failed = fetch(http, response["id"])

    assert failed["status"] == "failed"
    assert "send it again" in failed["error"]["message"]
    assert fetch(http, response["id"]) == failed
    assert events(stream(http, response["id"]))[-1]["response"] == failed


def test_one_whose_content_is_lost_while_it_waits_fails_when_it_is_claimed(
    http: FlaskClient, client: redis.Redis, make_worker: MakeWorker
) -> None:
    streamed = frames(http.post("/v1/responses", json=_BODY | {"stream": True}))
    response_id = event_of(next(streamed))["response"]["id"]
    client.flushall()

    make_worker().run_queued().result()

    *_, last, done = streamed
    assert event_of(last)["type"] == "response.failed"
    assert done == DONE
    assert "send it again" in fetch(http, response_id)["error"]["message"]


def test_one_whose_content_is_lost_while_it_waits_is_failed_by_the_maintenance(
    http: FlaskClient, client: redis.Redis, retention: Retention, sql: RunSql
) -> None:
    response = post(http)
    client.flushall()

    retention.sweep()

    assert sql("SELECT status FROM responses") == [("failed",)]
    assert "send it again" in fetch(http, response["id"])["error"]["message"]


def test_one_whose_content_is_lost_while_it_runs_completes(
    http: FlaskClient, client: redis.Redis, make_worker: MakeWorker
) -> None:
    worker = make_worker(**_SLOW)
    response = post(http)
    wait_for_text(http, response["id"])
    client.flushall()

    meanwhile = http.get(f"/v1/responses/{response['id']}")
    worker.wait_idle()

    assert meanwhile.status_code == 503
    assert meanwhile.headers["Retry-After"]
    ended = fetch(http, response["id"])
    assert ended["status"] == "completed"
    assert ended["instructions"] == _BODY["instructions"]
    assert events(stream(http, response["id"]))[-1]["response"] == ended


def test_one_whose_content_is_lost_after_its_end_is_gone(
    http: FlaskClient, client: redis.Redis, worker: InProcessWorker
) -> None:
    response = wait_for_end(http, post(http)["id"])
    client.flushall()

    answer = http.get(f"/v1/responses/{response['id']}")

    assert answer.status_code == 404
    assert error_of(answer)["message"].endswith("was not stored, and its content is gone.")
    assert http.get(f"/v1/responses/{response['id']}/input_items").status_code == 404


def test_its_end_is_committed_only_once_it_can_be_read(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, faults = UnstoredContents.put_archive, [redis.ConnectionError()] * 2

    def put_after_faults(*arguments: Any) -> None:
        if faults:
            raise faults.pop()
        put(*arguments)

    monkeypatch.setattr(UnstoredContents, "put_archive", put_after_faults)
    worker = make_worker()
    response = post(http)
    eventually(lambda: sql("SELECT 1 FROM responses WHERE status = 'queued' AND attempt = 1"))

    def is_over() -> bool:
        worker.run_queued().result()
        return bool(sql("SELECT 1 FROM responses WHERE finished_at IS NOT NULL"))

    eventually(is_over)

    assert _ANSWER in text_of(fetch(http, response["id"]))
    assert sql("SELECT status, attempt FROM responses") == [("completed", 3)]


def test_its_end_can_be_read_although_it_was_never_published(
    app: OpenAPI, http: FlaskClient, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.recording.recorder.Recorder.publish_end", lambda _: None)
    make_worker(**_SLOW)

    streamed = events(http.post("/v1/responses", json=_BODY | {"stream": True}))

    assert streamed[-1]["type"] == "response.completed"
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))


def test_nothing_of_it_is_in_postgres_or_in_the_clear_in_valkey(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, client: redis.Redis
) -> None:
    def is_hidden() -> bool:
        needles = (_MARKER, _ANSWER, "output_text")
        return not any(
            rows_that_mention(sql, needle) or keys_that_mention(client, needle)
            for needle in needles
        )

    response = post(http)
    assert is_hidden()
    make_worker(**_SLOW)
    wait_for_text(http, response["id"])
    assert is_hidden()
    wait_for_end(http, response["id"])
    assert is_hidden()
    assert sql("SELECT count(*) FROM event_archives") == [(0,)]
    assert sql("SELECT count(*) FROM items") == [(0,)]


def test_it_is_refused_while_valkey_is_out_of_reach(settings: Settings, sql: RunSql) -> None:
    cut_off = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})
    with running_app(cut_off) as app:
        answer = app.test_client().post("/v1/responses", json=_BODY)

    assert answer.status_code == 503
    assert sql("SELECT id FROM responses") == []
