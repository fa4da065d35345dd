"""DELETE /v1/responses/{id}: removes a response completely, whatever its state."""

import threading
from typing import Any
from uuid import UUID

import pytest
import redis
from flask.testing import FlaskClient

from models.ids import new_id, response_wire_id
from models.recording.recorder import Recorder
from models.settings import Settings
from tests.integration.api.requests import (
    create,
    create_and_wait,
    error_of,
    parsed,
    text_of,
    wait_for_text,
)
from tests.integration.conftest import NO_REDIS, MakeWorker, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.traces import keys_that_mention, rows_that_mention
from tests.polling import PATIENCE_S

_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}


def delete(http: FlaskClient, response_id: str) -> dict[str, Any]:
    answer = http.delete(f"/v1/responses/{response_id}")
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def hex_of(response: dict[str, Any]) -> str:
    digits: str = response["id"].removeprefix("resp_")
    return digits


def rows_of(sql: RunSql, response: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows that name the response, as a UUID or as the hexadecimal digits of an id."""
    digits = hex_of(response)
    return rows_that_mention(sql, digits) + rows_that_mention(sql, str(UUID(hex=digits)))


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http)

    answer = delete(http, response["id"])

    assert answer == {"id": response["id"], "object": "response", "deleted": True}
    assert http.get(f"/v1/responses/{response['id']}").status_code == 404


def test_nothing_is_left_of_a_finished_response(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql, client: redis.Redis
) -> None:
    response = create_and_wait(http)
    worker.wait_idle()
    assert rows_of(sql, response)
    assert keys_that_mention(client, hex_of(response))

    delete(http, response["id"])

    assert rows_of(sql, response) == []
    assert keys_that_mention(client, hex_of(response)) == []


def test_nothing_is_left_of_a_queued_response(
    http: FlaskClient, sql: RunSql, client: redis.Redis
) -> None:
    response = create(http)

    delete(http, response["id"])

    assert rows_of(sql, response) == []
    assert keys_that_mention(client, hex_of(response)) == []


def test_nothing_is_left_of_a_running_response(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, client: redis.Redis
) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    delete(http, response["id"])

    worker.wait_idle()
    assert rows_of(sql, response) == []
    assert keys_that_mention(client, hex_of(response)) == []


def test_nothing_is_left_of_a_response_whose_end_is_published_after_its_deletion(
    http: FlaskClient,
    worker: InProcessWorker,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_deleted = threading.Event()
    publish_end = Recorder.publish_end
    monkeypatch.setattr(
        Recorder,
        "publish_end",
        lambda recorder: is_deleted.wait(PATIENCE_S) and publish_end(recorder),
    )
    response = create_and_wait(http)

    delete(http, response["id"])
    is_deleted.set()

    worker.wait_idle()
    assert keys_that_mention(client, hex_of(response)) == []


def test_a_running_response_is_gone_before_its_worker_has_stopped(
    http: FlaskClient, desk: Desk
) -> None:
    response = create(http)
    claimed = desk.claim()

    delete(http, response["id"])

    assert http.get(f"/v1/responses/{response['id']}").status_code == 404
    assert not desk.finish(claimed)


def test_a_deleted_response_is_not_run(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql, client: redis.Redis
) -> None:
    response = create(http)
    delete(http, response["id"])

    make_worker().run_queued().result()

    assert sql("SELECT count(*) FROM responses") == [(0,)]
    assert keys_that_mention(client, hex_of(response)) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "?stream=true&starting_after=3"),
        ("GET", "/input_items"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_no_route_finds_a_deleted_response(
    http: FlaskClient, worker: InProcessWorker, method: str, path: str
) -> None:
    response = create_and_wait(http)
    delete(http, response["id"])

    answer = http.open(f"/v1/responses/{response['id']}{path}", method=method)

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_a_deleted_response_cannot_be_continued(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http)
    delete(http, response["id"])

    body = {"input": "And?", "previous_response_id": response["id"]}
    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "previous_response_not_found"


def test_other_responses_stay(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http)
    second = create_and_wait(http, previous_response_id=first["id"])

    delete(http, first["id"])

    answer = http.get(f"/v1/responses/{second['id']}")
    assert text_of(parsed(answer)) == text_of(second)


@pytest.mark.parametrize("wire_id", [response_wire_id(new_id()), "resp_x"])
def test_an_unknown_id_is_not_found(http: FlaskClient, wire_id: str) -> None:
    answer = http.delete(f"/v1/responses/{wire_id}")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_a_response_of_another_project_is_not_found_and_stays(
    http: FlaskClient, desk: Desk
) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))

    answer = http.delete(f"/v1/responses/{response_wire_id(foreign.id)}")

    assert answer.status_code == 404
    assert desk.status(foreign) == "queued"


def test_a_response_can_be_deleted_while_valkey_is_out_of_reach(
    http: FlaskClient, settings: Settings, desk: Desk
) -> None:
    response = create(http)
    desk.finish(desk.claim())

    with running_app(settings.model_copy(update=NO_REDIS)) as cut_off:
        answer = cut_off.test_client().delete(f"/v1/responses/{response['id']}")

    assert answer.status_code == 200
    assert http.get(f"/v1/responses/{response['id']}").status_code == 404
