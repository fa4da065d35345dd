"""Limits of a project on what it has at a time: queued responses, streams, bytes, endpoints."""

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.settings import Settings
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.api.limits.conftest import Limit
from tests.integration.api.requests import create, create_and_wait, error_of, parsed
from tests.integration.conftest import MakeWorker, RunSql, running_app
from tests.integration.http_server import serving
from tests.integration.keys import bearer, create_key
from tests.security.raw_http import HANDSHAKE, connected, read_head, read_to_end
from worker.maintenance.retention import Retention

_BODY = {"input": "Hello.", "background": True}


def test_a_project_has_a_limit_of_its_own_on_what_it_queues(
    http: FlaskClient, limit: Limit
) -> None:
    limit(max_queued=2)

    statuses = [http.post("/v1/responses", json=_BODY).status_code for _ in range(3)]
    refused = http.post("/v1/responses", json=_BODY)

    assert statuses == [200, 200, 429]
    assert error_of(refused)["code"] == "queue_full"
    assert "it may have 2" in error_of(refused)["message"]


def test_it_may_be_larger_than_that_of_the_server(settings: Settings, limit: Limit) -> None:
    limit(max_queued=3)
    with running_app(settings.model_copy(update={"max_queued_per_project": 1})) as app:
        http = app.test_client()
        statuses = [http.post("/v1/responses", json=_BODY).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]


def test_streams_are_limited_by_project(
    http: FlaskClient, key_store: Store, services: Services, limit: Limit, sql: RunSql
) -> None:
    sql("INSERT INTO projects (project_id) VALUES ('other')")
    first, second, other = (
        create_key(key_store, project_id)
        for project_id in (DEFAULT_PROJECT, DEFAULT_PROJECT, "other")
    )
    limit(max_streams=1)
    path = "/v1/responses/{}?stream=true"
    ids = [
        parsed(http.post("/v1/responses", json=_BODY, headers=bearer(token)))["id"]
        for token in (first, other)
    ]

    held = http.get(path.format(ids[0]), headers=bearer(first))
    refused = http.get(path.format(ids[0]), headers=bearer(second))
    beside = http.get(path.format(ids[1]), headers=bearer(other))

    assert (held.status_code, refused.status_code, beside.status_code) == (200, 429, 200)
    assert error_of(refused)["code"] == "too_many_streams"
    assert "may have 1 open streams" in error_of(refused)["message"]
    held.close()
    beside.close()


def test_websockets_are_streams(app: OpenAPI, limit: Limit, http: FlaskClient) -> None:
    limit(max_streams=1)
    http.get("/v1/models")
    with serving(app) as address, connected(address) as held, connected(address) as refused:
        held.sendall(HANDSHAKE)
        read_head(held)
        refused.sendall(HANDSHAKE)
        received = read_to_end(refused)

    assert b'"code":"too_many_streams"' in received


def test_stored_bytes_are_limited_and_freed_by_deletion(
    http: FlaskClient,
    services: Services,
    limit: Limit,
    make_worker: MakeWorker,
    retention: Retention,
    key_store: Store,
) -> None:
    limit(max_stored_bytes=20_000)
    make_worker()
    large = {"input": "Hello. " * 1000}
    response_id = create_and_wait(http, **large)["id"]
    assert http.post("/v1/responses", json=_BODY | large).status_code == 200

    refused = http.post("/v1/responses", json=_BODY | large)
    conversation = http.post(
        "/v1/conversations", json={"items": [{"role": "user", "content": large["input"]}]}
    )
    unstored = http.post("/v1/responses", json=_BODY | large | {"store": False})

    assert (refused.status_code, conversation.status_code) == (429, 429)
    assert unstored.status_code == 200
    assert error_of(refused)["code"] == "insufficient_quota"
    assert http.delete(f"/v1/responses/{response_id}").status_code == 200
    retention.sweep()
    services.authenticator.forget()
    assert http.post("/v1/responses", json=_BODY | large).status_code == 200


def test_what_is_stored_is_measured(
    http: FlaskClient, limit: Limit, make_worker: MakeWorker, key_store: Store
) -> None:
    limit(max_stored_bytes=1_000_000)
    assert key_store.sizes.limited() == [DEFAULT_PROJECT]
    assert key_store.sizes.measure(DEFAULT_PROJECT) == 0
    make_worker()

    create_and_wait(http)
    answered = key_store.sizes.measure(DEFAULT_PROJECT)
    http.post("/v1/conversations", json={"items": [{"role": "user", "content": "Hello."}]})
    conversed = key_store.sizes.measure(DEFAULT_PROJECT)

    assert 200 < answered < 10_000
    assert 50 < conversed - answered < 1000
    project = key_store.projects.get(DEFAULT_PROJECT)
    assert project is not None
    assert project.stored_bytes == conversed
    assert project.stored_measured_at is not None


def test_a_project_without_a_limit_is_not_measured(key_store: Store, retention: Retention) -> None:
    retention.sweep()

    project = key_store.projects.get(DEFAULT_PROJECT)
    assert project is not None
    assert project.stored_measured_at is None


@pytest.mark.parametrize("limits", [{"max_webhook_endpoints": 2}])
def test_webhook_endpoints_are_limited(
    http: FlaskClient, limit: Limit, limits: dict[str, int]
) -> None:
    limit(**limits)
    body = {
        "name": "mine",
        "url": "https://example.com/hook",
        "event_types": ["response.completed"],
    }

    statuses = [http.post("/v1/webhook_endpoints", json=body).status_code for _ in range(3)]

    assert statuses == [200, 200, 400]
    assert create(http)["id"]
