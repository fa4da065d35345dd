"""The audit trail: what is written, by whom, and that nobody changes it."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from psycopg.errors import InsufficientPrivilege

from api.access.access_log import MAX_ENTRIES
from api.access.auditing import ACTIONS
from api.services import Services
from models.access.scopes import ALL_SCOPES, Scope
from models.access.tokens import Token
from models.errors import UnavailableError
from models.store.access.api_keys import ApiKeys
from models.store.access.audit import AuditTrail
from models.store.store import Store
from tests.integration.api.access.admin import AdminClient
from tests.integration.api.requests import error_of
from tests.integration.conftest import RunSql
from tests.integration.keys import bearer, create_key
from worker.maintenance.retention import Retention

URL = "https://203.0.114.7/hook"  # no test connects to it


@pytest.fixture
def admin(http: FlaskClient, key_store: Store) -> AdminClient:
    return AdminClient(http, bearer(create_key(key_store)))


@pytest.fixture
def services(app: OpenAPI) -> Services:
    made: Services = app.extensions["antiphon"]
    return made


def entries(admin: AdminClient, **expected: Any) -> list[dict[str, Any]]:
    listed = admin.get("audit?limit=1000")["data"]
    return [entry for entry in listed if expected.items() <= entry.items()]


def test_it_works(admin: AdminClient) -> None:
    admin.post("projects", id="a")
    made = admin.post("keys", project_id="a")
    admin.post("limits/a", max_queued=1)
    admin.post("projects/a", name="A")
    admin.post(f"keys/{made['id']}/rotate")
    admin.delete(f"keys/{made['id']}")
    admin.delete("projects/a")

    found = entries(admin, project_id="a")

    assert [entry["action"] for entry in reversed(found)] == [
        "project.create",
        "key.create",
        "project.limits",
        "project.update",
        "key.rotate",
        "key.revoke",
        "project.delete",
    ]
    assert {entry["result"] for entry in found} == {"ok"}
    assert {entry["address"] for entry in found} == {"127.0.0.1"}
    assert len({entry["key_id"] for entry in found}) == 1
    assert found[-2]["object_id"] == made["id"]
    assert made["key"] not in str(found)


def test_changes_of_webhook_endpoints_are_written(http: FlaskClient, admin: AdminClient) -> None:
    answer = http.post("/v1/webhook_endpoints", json={"url": URL}, headers=admin.headers)
    endpoint = answer.get_json()["id"]
    http.post(f"/v1/webhook_endpoints/{endpoint}", json={"name": "b"}, headers=admin.headers)
    http.post(f"/v1/webhook_endpoints/{endpoint}/rotate_secret", json={}, headers=admin.headers)
    http.delete(f"/v1/webhook_endpoints/{endpoint}", headers=admin.headers)

    found = entries(admin, object_id=endpoint, project_id="default", result="ok")

    assert [entry["action"] for entry in reversed(found)] == [
        f"webhook_endpoint.{verb}" for verb in ("create", "update", "rotate", "delete")
    ]


def test_what_fails_is_written_without_the_words_of_the_client(
    http: FlaskClient, admin: AdminClient
) -> None:
    http.delete("/admin/v1/keys/a-secret-word", headers=admin.headers)

    [entry] = entries(admin, action="key.revoke")

    assert (entry["result"], entry["object_id"]) == ("api_key_not_found", "")


def test_every_change_by_operators_is_audited(app: OpenAPI) -> None:
    changing = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin/") and {"POST", "DELETE"} & (rule.methods or set())
    }

    assert changing <= ACTIONS.keys()
    assert ACTIONS.keys() <= {rule.endpoint for rule in app.url_map.iter_rules()}


def test_uses_without_the_scope_are_counted(
    http: FlaskClient, admin: AdminClient, key_store: Store, services: Services
) -> None:
    token = create_key(key_store, scopes=ALL_SCOPES - {Scope.WEBHOOKS, Scope.CONVERSATIONS})
    for _ in range(3):
        http.get("/v1/webhook_endpoints", headers=bearer(token))
    body = {"input": "Hello.", "conversation": "conv_1"}
    answer = http.post("/v1/responses", json=body, headers=bearer(token))
    assert error_of(answer)["code"] == "insufficient_permissions"

    services.access_log.write()

    found = entries(admin, action="request.refuse", key_id=token.id)
    assert {(entry["object_id"], entry["num_times"]) for entry in found} == {
        ("GET /v1/webhook_endpoints", 3),
        ("POST /v1/responses", 1),
    }
    assert {entry["result"] for entry in found} == {"insufficient_permissions"}


def test_attempts_without_a_key_fill_no_more_than_a_few_rows(
    http: FlaskClient, admin: AdminClient, services: Services
) -> None:
    for number in range(40):
        for _ in range(2 if number == 7 else 1):
            answer = http.get(
                "/v1/responses",
                headers=bearer(Token.new()),
                environ_overrides={"REMOTE_ADDR": f"192.0.2.{number}"},
            )
            assert answer.status_code == 401

    services.access_log.write()

    found = entries(admin, action="request.refuse", result="invalid_api_key")
    assert len(found) == MAX_ENTRIES + 1
    assert sum(entry["num_times"] for entry in found) == 41
    assert ("192.0.2.7", 2) in {(entry["address"], entry["num_times"]) for entry in found}
    assert {entry["project_id"] for entry in found} == {None}


def test_the_last_use_of_a_key_is_noted(
    http: FlaskClient, admin: AdminClient, services: Services
) -> None:
    services.access_log.write()

    assert [key["last_used_at"] for key in admin.get("keys")["data"]] == [None]
    services.access_log.write()
    [used] = [key["last_used_at"] for key in admin.get("keys")["data"]]
    assert abs(used - datetime.now(UTC).timestamp()) < 60


def test_what_cannot_be_written_is_written_later(
    http: FlaskClient, admin: AdminClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnavailableError

    for owner, method in ((ApiKeys, "mark_used"), (AuditTrail, "add")):
        admin.get("keys")
        http.get("/v1/responses")
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, fail)
            with pytest.raises(UnavailableError):
                services.access_log.write()
    services.access_log.write()

    assert [entry["num_times"] for entry in entries(admin, action="request.refuse")] == [2]
    assert admin.get("keys")["data"][0]["last_used_at"] is not None


def test_pages_and_times(admin: AdminClient, sql: RunSql) -> None:
    for name in ("a", "b", "c"):
        admin.post("projects", id=name)

    first = admin.get("audit?limit=2")
    rest = admin.get(f"audit?limit=2&after={first['last_id']}")

    assert [entry["object_id"] for entry in first["data"] + rest["data"]] == ["c", "b", "a"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    sql("UPDATE audit_entries SET occurred_at = now() - interval '1 h' WHERE object <> 'c'")
    since = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    assert [each["object_id"] for each in admin.get(f"audit?since={since}")["data"]] == ["c"]


@pytest.fixture(params=["app_url", "maintenance_url"])
def role_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET result = 'ok'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ],
)
def test_no_process_can_change_what_is_written(role_url: str, statement: str) -> None:
    with (
        psycopg.connect(role_url) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_api_cannot_expire_entries(app_url: str) -> None:
    with (
        psycopg.connect(app_url) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute("SELECT expire_audit_entries(now())")


def test_entries_expire_by_their_age(admin: AdminClient, retention: Retention, sql: RunSql) -> None:
    admin.post("projects", id="a")
    admin.post("projects", id="b")
    sql("UPDATE audit_entries SET occurred_at = now() - interval '401 d' WHERE object = 'a'")

    with closing(retention):
        retention.sweep()

    assert [entry["object_id"] for entry in entries(admin)] == ["b"]
