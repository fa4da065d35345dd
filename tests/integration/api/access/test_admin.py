"""/admin/v1: projects, limits, keys and workers."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.access.scopes import DEFAULT_SCOPES, Scope
from models.access.tokens import parse_token
from models.settings import Settings
from models.store.store import Store
from tests.integration.api.access.admin import AdminClient, on_loopback
from tests.integration.api.requests import error_of, parsed
from tests.integration.conftest import RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.keys import bearer, create_key

UNCHANGED = {"web_search": True, "mcp": True, "image_urls": True}


@pytest.fixture
def admin(http: FlaskClient) -> AdminClient:
    """Return a client of the open server."""
    return AdminClient(http)


def with_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_it_works(http: FlaskClient, admin: AdminClient) -> None:
    project = admin.post("projects", name="Team A")
    assert project["id"].startswith("proj_")
    assert (project["name"], project["status"]) == ("Team A", "active")
    assert admin.get(f"projects/{project['id']}") == project

    operator = admin.post("keys", name="operator", scopes=["admin"])
    admin.headers = with_key(operator["key"])
    made = admin.post("keys", project_id=project["id"])

    assert made["scopes"] == sorted(DEFAULT_SCOPES)
    assert http.get("/v1/responses", headers=with_key(made["key"])).status_code == 200
    listed = admin.get(f"keys?project_id={project['id']}")["data"]
    assert listed == [{name: value for name, value in made.items() if name != "key"}]


def test_a_project_has_the_id_that_its_operator_chooses_and_once(admin: AdminClient) -> None:
    assert admin.post("projects", id="team-a")["id"] == "team-a"

    answer = admin.http.post("/admin/v1/projects", json={"id": "team-a"})

    assert answer.status_code == 400
    assert (error_of(answer)["code"], error_of(answer)["param"]) == ("project_exists", "id")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"id": "*"}, "id"),
        ({"id": "Team"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"name": "x" * 129}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"limits": {"max_queued": 0}}, "limits.max_queued"),
        ({"limits": {"max_doors": 1}}, "limits.max_doors"),
        ({"permissions": {"fly": True}}, "permissions.fly"),
        ({"retention_days": 0}, "retention_days"),
        ({"allowed_models": [""]}, "allowed_models[0]"),
        ({"weights": 1}, "weights"),
        ({"weight": 0}, "weight"),
        ({"weight": 1000}, "weight"),
    ],
)
def test_what_is_not_valid_is_refused_by_name(
    admin: AdminClient, body: dict[str, Any], param: str
) -> None:
    answer = admin.http.post("/admin/v1/projects", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


def test_an_update_changes_what_is_named(admin: AdminClient) -> None:
    admin.post(
        "projects",
        id="a",
        name="A",
        limits={"max_queued": 5, "max_running": 2},
        permissions={"mcp": False},
        allowed_models=["one"],
        retention_days=3,
        weight=2,
    )

    changed = admin.post("projects/a", limits={"max_queued": None, "max_streams": 7})

    assert changed["limits"]["max_queued"] is None
    assert (changed["limits"]["max_running"], changed["limits"]["max_streams"]) == (2, 7)
    assert changed["permissions"] == UNCHANGED | {"mcp": False}
    assert (changed["name"], changed["allowed_models"], changed["retention_days"]) == (
        "A",
        ["one"],
        3,
    )
    assert changed["weight"] == 2
    reset = admin.post(
        "projects/a",
        permissions={"mcp": None},
        allowed_models=None,
        retention_days=None,
        weight=None,
        name="B",
    )
    assert reset["weight"] == 1
    assert reset["permissions"] == UNCHANGED
    assert (reset["name"], reset["allowed_models"], reset["retention_days"]) == ("B", None, None)


def test_limits_are_read_and_changed_by_themselves(admin: AdminClient) -> None:
    admin.post("projects", id="a")

    changed = admin.post("limits/a", requests_per_minute=10)

    assert (changed["project_id"], changed["requests_per_minute"]) == ("a", 10)
    assert admin.get("limits/a") == changed
    assert changed in admin.get("limits")["data"]


@pytest.mark.parametrize("path", ["projects/none", "limits/none", "projects/*", "projects/@"])
def test_an_unknown_project_is_not_found(admin: AdminClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = admin.http.open(f"/admin/v1/{path}", method=method, json={})
        assert answer.status_code == 404
        assert error_of(answer)["code"] == "project_not_found"


def test_a_change_holds_at_once_in_the_process_that_made_it(
    http: FlaskClient, admin: AdminClient, key_store: Store
) -> None:
    headers = bearer(create_key(key_store))
    assert len(parsed(http.get("/v1/models", headers=headers))["data"]) == 2

    admin.headers = headers
    admin.post("projects/default", allowed_models=[])

    assert parsed(http.get("/v1/models", headers=headers))["data"] == []


def test_a_revoked_key_stops(http: FlaskClient, admin: AdminClient, key_store: Store) -> None:
    admin.headers = bearer(create_key(key_store))
    made = admin.post("keys")

    revoked = admin.delete(f"keys/{made['id']}")

    assert revoked["revoked_at"] is not None
    assert http.get("/v1/responses", headers=with_key(made["key"])).status_code == 401
    answer = http.delete("/admin/v1/keys/0123456789", headers=admin.headers)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "api_key_not_found")


def test_both_keys_work_after_a_rotation_until_the_old_one_expires(
    http: FlaskClient, admin: AdminClient, key_store: Store
) -> None:
    admin.headers = bearer(create_key(key_store))
    old = admin.post("keys", name="app", scopes=["responses:read"])

    new = admin.post(f"keys/{old['id']}/rotate")

    assert (new["name"], new["scopes"], new["expires_at"]) == ("app", ["responses:read"], None)
    assert [
        http.get("/v1/responses", headers=with_key(key["key"])).status_code for key in (old, new)
    ] == [
        200,
        200,
    ]
    rotated = next(key for key in admin.get("keys")["data"] if key["id"] == old["id"])
    assert 23 * 3600 < rotated["expires_at"] - new["created_at"] <= 24 * 3600
    admin.post(f"keys/{new['id']}/rotate", grace_hours=0)
    assert http.get("/v1/responses", headers=with_key(new["key"])).status_code == 401
    again = http.post(f"/admin/v1/keys/{new['id']}/rotate", json={}, headers=admin.headers)
    assert again.status_code == 404, "a key that has expired has no successor"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": []}, "scopes"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"project_id": "none"}, "project_id"),
    ],
)
def test_a_key_that_cannot_be_created_is_refused_by_name(
    admin: AdminClient, body: dict[str, Any], param: str
) -> None:
    answer = admin.http.post("/admin/v1/keys", json=body)

    assert answer.status_code in (400, 404)
    assert error_of(answer)["param"] == param


def test_a_key_expires(http: FlaskClient, admin: AdminClient, sql: RunSql) -> None:
    made = admin.post("keys", expires_in_days=1, scopes=["admin", "responses:read"])

    assert made["expires_at"] - made["created_at"] in (86_399, 86_400)
    token = parse_token(made["key"])
    assert token is not None
    assert token.id == made["id"]


def test_keys_need_a_secret_file(settings: Settings) -> None:
    with running_app(settings.model_copy(update={"secret_file": None})) as app:
        answer = on_loopback(app.test_client()).post("/admin/v1/keys", json={})

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "secret_file_missing"
    assert "ANTIPHON_SECRET_FILE" in error_of(answer)["message"]


def test_workers_are_listed_with_what_they_do(admin: AdminClient, desk: Desk) -> None:
    busy = desk.hire(name="busy")
    desk.create()
    desk.claim(busy)
    desk.create(project_id=desk.add_project("other"))
    desk.claim(busy)
    desk.hire(name="idle")

    listed = admin.get("workers")["data"]

    assert [(each["name"], each["num_running"], each["is_alive"]) for each in listed] == [
        ("busy", 2, True),
        ("idle", 0, True),
    ]
    desk.lapse_leases()
    assert not any(each["is_alive"] for each in admin.get("workers")["data"])


def test_the_scope_is_needed(http: FlaskClient, key_store: Store) -> None:
    scopes = frozenset(Scope) - {Scope.ADMIN}
    headers = bearer(create_key(key_store, scopes=scopes))

    answer = on_loopback(http).get("/admin/v1/projects", headers=headers)

    assert (answer.status_code, error_of(answer)["code"]) == (403, "insufficient_permissions")


@pytest.mark.parametrize(
    ("environ", "hosts", "is_answered"),
    [
        ({}, (), True),
        ({"HTTP_HOST": "127.0.0.1:8000"}, (), True),
        (
            {"HTTP_HOST": "[::1]:8000", "antiphon.local_address": "::1", "REMOTE_ADDR": "::1"},
            (),
            True,
        ),
        ({"antiphon.local_address": "::ffff:127.0.0.1"}, (), True),
        ({"antiphon.local_address": "10.0.0.1"}, (), False),
        ({"antiphon.local_address": ""}, (), False),
        ({"REMOTE_ADDR": "10.0.0.9"}, (), False),
        ({"HTTP_X_FORWARDED_FOR": "10.0.0.9"}, (), False),
        ({"HTTP_FORWARDED": "for=10.0.0.9"}, (), False),
        ({"HTTP_HOST": "admin.example"}, ("admin.example",), True),
        (
            {"HTTP_HOST": "admin.example", "antiphon.local_address": "10.0.0.1"},
            ("admin.example",),
            True,
        ),
        ({"antiphon.local_address": "10.0.0.1"}, ("admin.example",), False),
        ({"HTTP_HOST": "other.example"}, ("admin.example",), False),
        ({"HTTP_HOST": "any.example", "antiphon.local_address": "10.0.0.1"}, ("*",), True),
    ],
)
def test_it_is_answered_on_loopback_and_named_hosts(
    settings: Settings, environ: dict[str, str], hosts: tuple[str, ...], is_answered: bool
) -> None:
    with running_app(settings.model_copy(update={"admin_hosts": hosts})) as app:
        client = on_loopback(app.test_client())
        answer = client.get("/admin/v1/projects", environ_overrides=environ)
        elsewhere = client.get("/v1/models", environ_overrides=environ)

    assert answer.status_code == (200 if is_answered else 403)
    assert elsewhere.status_code == (403 if environ.get("HTTP_HOST") == "other.example" else 200)
