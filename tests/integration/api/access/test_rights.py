"""Rights within a request: what a key may continue, and what its project may use."""

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.scopes import ALL_SCOPES, Scope
from models.settings import Settings
from models.store.store import Store
from tests.integration.api.requests import error_of, parsed
from tests.integration.api.websocket.conftest import connect
from tests.integration.api.websocket.frames import Connect, receive, send
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.keys import bearer, create_key

__all__ = ["connect"]

BODY: dict[str, Any] = {"input": "Hello.", "background": True}
REFERENCE = [{"type": "item_reference", "id": "msg_1"}]
CONTINUATIONS: list[tuple[dict[str, Any], Scope, str]] = [
    ({"conversation": "conv_1"}, Scope.CONVERSATIONS, "conversation"),
    ({"previous_response_id": "resp_1"}, Scope.RESPONSES_READ, "previous_response_id"),
    ({"input": REFERENCE}, Scope.RESPONSES_READ, "input[0]"),
]
SEARCH = {"tools": [{"type": "web_search"}]}
MCP = {"tools": [{"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.example/"}]}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"searxng_url": "http://127.0.0.1:1/"})


def headers_without(store: Store, scope: Scope) -> dict[str, str]:
    return bearer(create_key(store, scopes=ALL_SCOPES - {scope}))


def restrict(sql: RunSql, column: str, value: object) -> None:
    sql(f"UPDATE projects SET {column} = %s", value)


def assert_lacks(error: dict[str, Any], scope: str, param: str) -> None:
    assert (error["code"], error["param"]) == ("insufficient_permissions", param)
    assert f"'{scope}'" in error["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens"])
@pytest.mark.parametrize(("body", "scope", "param"), CONTINUATIONS)
def test_what_a_key_must_not_read_it_cannot_continue(
    http: FlaskClient,
    key_store: Store,
    path: str,
    body: dict[str, Any],
    scope: Scope,
    param: str,
) -> None:
    headers = headers_without(key_store, scope)

    answer = http.post(path, json=BODY | body, headers=headers)

    assert answer.status_code == 403
    assert_lacks(error_of(answer), scope, param)
    allowed = bearer(create_key(key_store))
    assert http.post(path, json=BODY | body, headers=allowed).status_code == 404


def test_a_compaction_reads_what_it_continues(http: FlaskClient, key_store: Store) -> None:
    headers = headers_without(key_store, Scope.RESPONSES_READ)
    body = {"model": "scripted", "previous_response_id": "resp_1"}

    answer = http.post("/v1/responses/compact", json=body, headers=headers)

    assert_lacks(error_of(answer), Scope.RESPONSES_READ, "previous_response_id")


def test_a_reference_is_not_copied_into_a_conversation_by_who_must_not_read_it(
    http: FlaskClient, key_store: Store
) -> None:
    headers = headers_without(key_store, Scope.RESPONSES_READ)
    answer = http.post("/v1/conversations", json={"items": REFERENCE}, headers=headers)

    assert_lacks(error_of(answer), Scope.RESPONSES_READ, "items[0]")


def test_the_answer_to_a_cancel_is_a_response_that_the_key_must_be_allowed_to_read(
    http: FlaskClient, key_store: Store, desk: Desk
) -> None:
    queued = desk.create(background=True)
    path = f"/v1/responses/resp_{queued.id.hex}/cancel"
    headers = headers_without(key_store, Scope.RESPONSES_READ)

    assert http.post(path, headers=headers).status_code == 403
    assert desk.status(queued) == "queued"
    assert http.post(path, headers=bearer(create_key(key_store))).status_code == 200


def test_a_key_that_only_writes_cannot_read_on_a_websocket(
    connect: Connect, key_store: Store, desk: Desk
) -> None:
    desk.finish(ended := desk.running())
    socket = connect(headers_without(key_store, Scope.RESPONSES_READ))
    events: list[dict[str, Any]] = [
        {"previous_response_id": "resp_1"},
        {"input": REFERENCE},
    ]
    for event in events:
        send(socket, **event)
        frame = receive(socket)
        assert frame["status"] == 403
        assert frame["error"]["code"] == "insufficient_permissions"
    resume = {"type": "response.resume", "response_id": f"resp_{ended.id.hex}"}
    socket.send(orjson.dumps(resume).decode())
    assert receive(socket)["error"]["code"] == "insufficient_permissions"


def test_an_open_websocket_learns_what_its_project_may_no_longer_use(
    app: OpenAPI, connect: Connect, key_store: Store, sql: RunSql
) -> None:
    services: Services = app.extensions["antiphon"]
    socket = connect(bearer(create_key(key_store)))

    restrict(sql, "allowed_models", [])
    services.authenticator.forget()

    send(socket)
    assert receive(socket)["error"]["code"] == "model_not_found"


def test_a_model_that_a_project_may_not_use_is_answered_as_an_unknown_one(
    http: FlaskClient, key_store: Store, sql: RunSql
) -> None:
    restrict(sql, "allowed_models", ["another"])
    headers = bearer(create_key(key_store))

    refused = http.post("/v1/responses", json=BODY | {"model": "scripted"}, headers=headers)
    unknown = http.post("/v1/responses", json=BODY | {"model": "scripten"}, headers=headers)

    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert refused.text == unknown.text.replace("scripten", "scripted")
    assert http.post("/v1/responses", json=BODY, headers=headers).status_code == 404
    assert parsed(http.get("/v1/models", headers=headers))["data"] == []
    assert http.get("/v1/models/scripted", headers=headers).status_code == 404
    assert http.get("/v1/models/default", headers=headers).status_code == 404


def test_the_default_is_the_first_model_that_a_project_may_use(
    http: FlaskClient, key_store: Store, sql: RunSql
) -> None:
    restrict(sql, "allowed_models", ["scripted"])
    headers = bearer(create_key(key_store))

    created = http.post("/v1/responses", json=BODY, headers=headers)

    assert parsed(created)["model"] == "scripted"
    names = [model["id"] for model in parsed(http.get("/v1/models", headers=headers))["data"]]
    assert names == ["scripted", "default"]


def test_a_search_is_left_out_or_refused_without_the_permission(
    http: FlaskClient, key_store: Store, sql: RunSql
) -> None:
    restrict(sql, "permissions", '{"web_search": false}')
    headers = bearer(create_key(key_store))

    offered = http.post("/v1/responses", json=BODY | SEARCH, headers=headers)
    demanded = http.post(
        "/v1/responses", json=BODY | SEARCH | {"tool_choice": "required"}, headers=headers
    )

    assert offered.status_code == 200
    assert "has not the permission" in offered.headers["Antiphon-Warning"]
    assert demanded.status_code == 403
    assert_lacks(error_of(demanded), "web_search", "tools[0]")


def test_mcp_servers_are_refused_without_the_permission(
    http: FlaskClient, key_store: Store, sql: RunSql
) -> None:
    restrict(sql, "permissions", '{"mcp": false}')
    headers = bearer(create_key(key_store))

    answer = http.post("/v1/responses", json=BODY | MCP, headers=headers)

    assert answer.status_code == 403
    assert_lacks(error_of(answer), "mcp", "tools[0]")


def test_images_at_addresses_are_refused_without_the_permission(
    http: FlaskClient, key_store: Store, sql: RunSql
) -> None:
    restrict(sql, "permissions", '{"image_urls": false}')
    headers = bearer(create_key(key_store))
    image = {"type": "input_image", "image_url": "https://203.0.114.7/image.png"}
    items = [{"role": "user", "content": [image]}]

    answer = http.post("/v1/conversations", json={"items": items}, headers=headers)

    assert answer.status_code == 403
    assert_lacks(error_of(answer), "image_urls", "items[0].content[0].image_url")
