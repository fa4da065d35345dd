"""Idempotency-Key: a repeated request returns the response of the first one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from models.errors import UnavailableError
from models.store.responses import Responses
from tests.integration.api.requests import (
    create_and_wait,
    error_of,
    events,
    frames,
    parsed,
    stream,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.traces import keys_that_mention, rows_that_mention
from worker.maintenance.retention import Retention

_BODY: dict[str, Any] = {"input": "Hello.", "background": True}
_SLOW: dict[str, Any] = {"script_interval_ms": 20}


def post(http: FlaskClient, key: str = "one", **changes: Any) -> TestResponse:
    return http.post("/v1/responses", json=_BODY | changes, headers={"Idempotency-Key": key})


def count(sql: RunSql) -> int:
    [[number]] = sql("SELECT count(*) FROM responses")
    return int(number)


def test_it_works(http: FlaskClient, sql: RunSql, make_worker: MakeWorker) -> None:
    first = parsed(post(http))

    assert parsed(post(http)) == first
    make_worker()
    done = wait_for_end(http, first["id"])
    assert parsed(post(http)) == done
    assert count(sql) == 1


def test_another_body_is_refused(http: FlaskClient, sql: RunSql) -> None:
    post(http)

    answer = post(http, input="Other.")

    assert answer.status_code == 422
    assert error_of(answer)["code"] == "idempotency_key_reused"
    assert error_of(answer)["param"] == "Idempotency-Key"
    assert count(sql) == 1


def test_the_order_of_keys_makes_no_other_body(http: FlaskClient) -> None:
    first = parsed(post(http))
    headers = {"Idempotency-Key": "one"}

    again = http.post("/v1/responses", json=dict(reversed(_BODY.items())), headers=headers)

    assert parsed(again)["id"] == first["id"]


def test_another_key_makes_another_response(http: FlaskClient) -> None:
    assert parsed(post(http, "one"))["id"] != parsed(post(http, "two"))["id"]


def test_keys_of_other_projects_do_not_count(http: FlaskClient, sql: RunSql) -> None:
    sql("INSERT INTO projects (project_id) VALUES ('other')")
    first = parsed(post(http))
    sql("UPDATE idempotency_keys SET project_id = 'other'")

    assert parsed(post(http))["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_one_is_refused(http: FlaskClient, key: str) -> None:
    answer = post(http, key)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "Idempotency-Key"


def test_a_request_that_is_refused_leaves_its_key_free(http: FlaskClient) -> None:
    assert post(http, temperature=3).status_code == 400

    assert post(http).status_code == 200


def test_of_requests_at_the_same_time_one_makes_the_response(app: OpenAPI, sql: RunSql) -> None:
    together = threading.Barrier(8)

    def send(_: int) -> str:
        together.wait()
        return str(parsed(post(app.test_client()))["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(send, range(8)))

    assert len(ids) == 1
    assert count(sql) == 1


def test_a_stream_that_is_asked_for_again_has_every_event(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_SLOW)
    first = post(http, stream=True)
    seen = list(islice(frames(first), 6))

    again = list(frames(post(http, stream=True)))

    assert again[:6] == seen
    assert b"response.completed" in again[-2]


def test_a_foreground_request_waits_for_the_response_of_the_first(
    app: OpenAPI, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(**_SLOW)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: post(app.test_client(), background=False), range(2)))

    first, second = (parsed(answer) for answer in answers)
    assert first == second
    assert first["status"] == "completed"
    assert count(sql) == 1


def test_what_is_not_stored_is_found_until_it_was_delivered(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    body: dict[str, Any] = {"background": False, "store": False, "stream": True}
    first = post(http, **body)
    next(frames(first))

    make_worker(**_SLOW)
    again = events(post(http, **body))

    assert again[-1]["type"] == "response.completed"
    first.close()
    assert post(http, **body).status_code == 404


def test_a_key_past_its_time_is_free(http: FlaskClient, sql: RunSql, retention: Retention) -> None:
    first = parsed(post(http))
    sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")

    second = parsed(post(http, input="Other."))

    assert second["id"] != first["id"]
    sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    retention.sweep()
    assert sql("SELECT key FROM idempotency_keys") == []


def test_a_deleted_response_leaves_nothing_of_its_key(
    http: FlaskClient, sql: RunSql, client: redis.Redis, make_worker: MakeWorker
) -> None:
    make_worker()
    first = parsed(post(http))
    wait_for_end(http, first["id"])

    http.delete(f"/v1/responses/{first['id']}")

    assert rows_that_mention(sql, first["id"].removeprefix("resp_")) == []
    assert sql("SELECT key FROM idempotency_keys") == []
    assert keys_that_mention(client, first["id"].removeprefix("resp_")) == []


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_that_is_cut_off_is_looked_up_and_not_repeated(
    http: FlaskClient, sql: RunSql, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    insert, faults = Responses.create, [UnavailableError()]

    def cut_off(*arguments: Any, **options: Any) -> Any:
        is_cut = bool(faults)
        result = insert(*arguments, **options) if is_committed or not is_cut else None
        if faults:
            raise faults.pop()
        return result

    monkeypatch.setattr(Responses, "create", cut_off)

    assert create_or_none(http)
    assert count(sql) == 1


def create_or_none(http: FlaskClient) -> bool:
    return http.post("/v1/responses", json=_BODY).status_code == 200


def test_it_leaves_other_requests_alone(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker()
    first = create_and_wait(http)

    assert events(stream(http, first["id"]))
    assert create_and_wait(http)["id"] != first["id"]
