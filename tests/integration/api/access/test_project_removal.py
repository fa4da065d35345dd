"""Deletion of a project: its keys stop at once, and nothing of it is left in the end."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.tokens import Token
from models.database.connection import Base
from models.settings import Settings
from models.store.store import Store
from tests.integration.api.access.admin import AdminClient
from tests.integration.api.requests import error_of, wait_for_text
from tests.integration.conftest import MakeWorker, RunSql, with_database
from tests.integration.desk import Desk
from tests.integration.keys import bearer, create_key
from tests.polling import eventually
from worker.maintenance.removal import ProjectRemoval

ROOT = Path(__file__).parents[4]
PROJECT = "team-a"
TOMBSTONES = {"projects", "api_keys", "audit_entries"}
"""Tables that keep what was done, and the ids of what is gone."""
OF_THE_SERVER = {"workers"}
_OF_NO_PROJECT = r"antiphon:(limits:\{\}|\{metrics\}):"
"""What the processes tell each other and about themselves."""
URL = "https://203.0.114.7/hook"  # no test connects to it


@pytest.fixture
def admin(http: FlaskClient, key_store: Store) -> AdminClient:
    made = AdminClient(http, bearer(create_key(key_store)))
    made.post("projects", id=PROJECT, name="Team A", limits={"max_queued": 9})
    return made


@pytest.fixture
def token(admin: AdminClient, key_store: Store) -> Token:
    return create_key(key_store, PROJECT)


@pytest.fixture
def removal_settings(settings: Settings, maintenance_url: str) -> Settings:
    return with_database(settings, maintenance_url)


@pytest.fixture
def removal(removal_settings: Settings) -> Iterator[ProjectRemoval]:
    """Return removal that waits for nothing, and whose passes the test runs."""
    with closing(ProjectRemoval(removal_settings, settle_s=0, batch=2)) as made:
        yield made


def tables() -> list[str]:
    names = [table.name for table in Base.metadata.tables.values() if "project_id" in table.c]
    return sorted({*names} - OF_THE_SERVER)


def num_rows(sql: RunSql, table: str, project_id: str = PROJECT) -> int:
    [[count]] = sql(f"SELECT count(*) FROM {table} WHERE project_id = %s", project_id)
    return int(count)


def fill(http: FlaskClient, desk: Desk, headers: dict[str, str]) -> None:
    """Use all that there is: the project then has a row in every table."""

    def post(path: str, **body: Any) -> Any:
        answer = http.post(f"/v1/{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    post("webhook_endpoints", url=URL)
    items = [{"role": "user", "content": "Hello."}]
    conversation = post("conversations", items=items)["id"]
    post("responses", input="Hello.", background=True, metadata={"a": "b"})
    desk.finish(desk.claim(), output=[], events=[b"{}"])
    post("responses", input="Hello.", background=True, conversation=conversation)
    post("responses", input="Hello.", background=True, store=False)
    once = {"Idempotency-Key": "one", **headers}
    body = {"input": "Hello.", "background": True}
    assert http.post("/v1/responses", json=body, headers=once).status_code == 200


def start_deletion(admin: AdminClient) -> None:
    assert admin.delete(f"projects/{PROJECT}")["status"] == "deleting"


def test_nothing_is_left(
    admin: AdminClient,
    token: Token,
    desk: Desk,
    removal: ProjectRemoval,
    sql: RunSql,
    client: redis.Redis,
) -> None:
    fill(admin.http, desk, bearer(token))
    kept = desk.create()
    empty = [table for table in tables() if not num_rows(sql, table)]
    assert empty == [], "the test has to fill these, to see that they are emptied"

    start_deletion(admin)
    removal.remove_all()

    assert [table for table in tables() if num_rows(sql, table)] == sorted(TOMBSTONES)
    assert desk.status(kept) == "queued"
    names = [str(key) for key in client.keys("antiphon:*")]
    of_projects = [name for name in names if not re.search(_OF_NO_PROJECT, name)]
    assert not [name for name in of_projects if kept.id.hex not in name]
    shown = admin.get(f"projects/{PROJECT}")
    assert (shown["status"], shown["name"], shown["limits"]["max_queued"]) == ("deleted", "", None)
    [[row]] = sql("SELECT row_to_json(p) FROM projects p WHERE project_id = %s", PROJECT)
    assert row["sealing_key"] is None
    keys = sql("SELECT name, digest, scopes FROM api_keys WHERE project_id = %s", PROJECT)
    assert keys == [("", b"", [])]
    actions = [entry["action"] for entry in admin.get(f"audit?project_id={PROJECT}")["data"]]
    assert actions[:2] == ["project.erase", "project.delete"]


def test_its_keys_stop_at_once(http: FlaskClient, admin: AdminClient, token: Token) -> None:
    assert http.get("/v1/responses", headers=bearer(token)).status_code == 200

    start_deletion(admin)

    assert http.get("/v1/responses", headers=bearer(token)).status_code == 401
    answer = http.post("/admin/v1/keys", json={"project_id": PROJECT}, headers=admin.headers)
    assert answer.status_code == 404
    answer = http.post(f"/admin/v1/projects/{PROJECT}", json={}, headers=admin.headers)
    assert answer.status_code == 404


def test_what_runs_is_stopped(  # noqa: PLR0913 - the parts of a whole server
    admin: AdminClient,
    token: Token,
    make_worker: MakeWorker,
    removal_settings: Settings,
    removal: ProjectRemoval,
    client: redis.Redis,
    sql: RunSql,
) -> None:
    worker = make_worker(script_tokens=100_000, script_interval_ms=5)
    http = admin.http.application.test_client()  # which, unlike the operator's, reads streams
    http.environ_base["HTTP_AUTHORIZATION"] = bearer(token)["Authorization"]
    answer = http.post("/v1/responses", json={"input": "Hello.", "background": True})
    wait_for_text(http, answer.get_json()["id"])

    start_deletion(admin)
    with closing(ProjectRemoval(removal_settings, settle_s=60)) as first:
        first.remove_all()
    worker.wait_idle()
    removal.remove_all()

    assert num_rows(sql, "responses") == 0
    assert client.keys("antiphon:log:*") + client.keys("antiphon:unstored*") == []
    assert admin.get(f"projects/{PROJECT}")["status"] == "deleted"


def test_late_rows_of_an_erased_project_are_removed(
    admin: AdminClient, desk: Desk, removal: ProjectRemoval, sql: RunSql
) -> None:
    start_deletion(admin)
    removal.remove_all()
    assert admin.get(f"projects/{PROJECT}")["status"] == "deleted"

    desk.create(project_id=PROJECT)
    removal.remove_all()

    assert num_rows(sql, "responses") == 0
    erased = [entry for entry in admin.get("audit")["data"] if entry["action"] == "project.erase"]
    assert len(erased) == 1


def test_a_project_is_not_erased_before_all_requests_that_were_let_in_have_ended(
    admin: AdminClient, removal_settings: Settings
) -> None:
    start_deletion(admin)

    with closing(ProjectRemoval(removal_settings, settle_s=60)) as removal:
        removal.remove_all()

    assert admin.get(f"projects/{PROJECT}")["status"] == "deleting"


def test_the_default_project_cannot_be_deleted(admin: AdminClient) -> None:
    answer = admin.http.delete("/admin/v1/projects/default", headers=admin.headers)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "project_id"


def test_an_id_is_not_used_again(admin: AdminClient, removal: ProjectRemoval) -> None:
    start_deletion(admin)
    removal.remove_all()

    answer = admin.http.post("/admin/v1/projects", json={"id": PROJECT}, headers=admin.headers)

    assert error_of(answer)["code"] == "project_exists"
    assert PROJECT not in [project["id"] for project in admin.get("projects")["data"]]


def test_a_server_whose_last_keys_were_of_a_deleted_project_does_not_open(
    app: OpenAPI, http: FlaskClient, key_store: Store, removal: ProjectRemoval
) -> None:
    admin = AdminClient(http)
    admin.post("projects", id=PROJECT)
    admin.headers = bearer(create_key(key_store, PROJECT))
    services: Services = app.extensions["antiphon"]
    services.authenticator.forget()

    start_deletion(admin)
    removal.remove_all()

    services.authenticator.forget()
    assert http.get("/v1/responses").status_code == 401


@pytest.mark.nightly
def test_a_removal_that_is_killed_goes_on_where_it_was(
    admin: AdminClient,
    removal_settings: Settings,
    removal: ProjectRemoval,
    sql: RunSql,
    tmp_path: Path,
) -> None:
    sql(
        "INSERT INTO responses (id, project_id, model, status, background, store, finished_at)"
        " SELECT gen_random_uuid(), %s, 'scripted', 'completed', true, true, now()"
        " FROM generate_series(1, 20000)",
        PROJECT,
    )
    start_deletion(admin)
    environment = dict(os.environ) | {
        "ANTIPHON_DATA_DIR": str(tmp_path),
        "DATABASE_URL": removal_settings.database_url or "",
        "REDIS_URL": removal_settings.redis_url or "",
    }
    command = [sys.executable, str(ROOT / "antiphon"), "maintenance"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            eventually(lambda: num_rows(sql, "responses") < 20_000)
        finally:
            process.kill()
    left = num_rows(sql, "responses")
    assert 0 < left < 20_000

    with closing(ProjectRemoval(removal_settings, settle_s=0, batch=5000)) as again:
        again.remove_all()

    assert num_rows(sql, "responses") == 0
    assert admin.get(f"projects/{PROJECT}")["status"] == "deleted"
