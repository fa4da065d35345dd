"""Pages of operators: workers and queues, projects, keys and the audit trail."""

import html
import re

import pytest
import redis
from flask_openapi3.openapi import OpenAPI

from models.access.projects import ProjectLimits, ProjectPermissions
from models.access.scopes import ALL_SCOPES, Scope
from models.metrics.table import (
    LAST_TOKEN_AGE,
    WORKER_CACHE_HITS,
    WORKER_DRAINING,
    WORKER_PLACES,
    WORKER_ROWS,
    WORKER_SPEED,
)
from models.metrics.totals import GaugeValue, MetricTotals
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from models.store.store import Store
from tests.integration.conftest import NO_REDIS, running_app
from tests.integration.dashboard.conftest import OPERATES, SignIn
from tests.integration.dashboard.visitor import BROWSER, Visitor
from tests.integration.desk import Desk
from tests.integration.keys import create_key

ADMIN = "/dashboard/admin"
PAGES = (
    *("workers", "workers/rows", "graphs", "graphs/figures", "projects", "projects/default"),
    *("keys", "audit"),
)
_KEY = re.compile(r'<code id="made">(sk-antiphon-[^<]+)</code>')


@pytest.mark.parametrize("page", PAGES)
def test_operators_alone_see_them(sign_in: SignIn, page: str) -> None:
    assert sign_in(ALL_SCOPES).open(f"{ADMIN}/{page}").status_code == 200
    operator = sign_in(OPERATES)
    assert operator.open(f"{ADMIN}/{page}").status_code == 403
    assert ADMIN not in operator.page("/dashboard/responses")


@pytest.mark.parametrize("page", PAGES)
def test_they_are_where_the_admin_api_is(app: OpenAPI, page: str) -> None:
    visitor = Visitor(app.test_client())

    answer = visitor.open(f"{ADMIN}/{page}", **{"X-Forwarded-For": "203.0.113.7"})

    assert answer.status_code == 403
    assert "ANTIPHON_ADMIN_HOSTS" in answer.text


def test_workers_and_queues_are_shown(visitor: Visitor, desk: Desk) -> None:
    desk.running()
    desk.create(project_id=desk.add_project("team-a"))
    desk.create(project_id="team-a", background=False)

    page = visitor.page(f"{ADMIN}/workers")

    assert '<span class="status alive">' in page
    assert re.search(
        r'projects/team-a">team-a</a></td><td class="num">1</td><td class="num">1</td>', page
    )
    desk.lapse_leases()
    assert '<span class="status lost">' in visitor.page(f"{ADMIN}/workers/rows")


def test_a_worker_has_the_figures_that_it_publishes(
    visitor: Visitor, desk: Desk, client: redis.Redis
) -> None:
    worker = desk.hire(name="busy")
    labels = (worker.model, worker.host, worker.name)
    values = (
        *((WORKER_ROWS, 3), (WORKER_PLACES, 8), (WORKER_SPEED, 41.5), (WORKER_CACHE_HITS, 0.666)),
        *((LAST_TOKEN_AGE, 0.25), (WORKER_DRAINING, 1)),
    )
    gauges = [GaugeValue(metric, value, labels) for metric, value in values]
    MetricTotals(client).publish(1, {}, gauges)

    assert cells_of(visitor, "busy")[1:8] == [
        *("draining", SCRIPTED_MODEL, "0", "3 of 8", "41.5", "67 %", "250 ms"),
    ]


def test_what_a_worker_does_not_say_is_unknown(
    visitor: Visitor, desk: Desk, client: redis.Redis
) -> None:
    desk.hire(name="silent")
    idle = desk.hire(name="idle")
    labels = (idle.model, idle.host, idle.name)
    MetricTotals(client).publish(
        1, {}, [GaugeValue(LAST_TOKEN_AGE, 0, labels), GaugeValue(WORKER_ROWS, 0, labels)]
    )

    assert cells_of(visitor, "silent")[1:8] == ["alive", SCRIPTED_MODEL, "0", *["unknown"] * 4]
    assert cells_of(visitor, "idle")[4:8] == ["0", "unknown", "unknown", "idle"]


def test_while_redis_is_away_workers_are_shown_without_figures(
    settings: Settings, desk: Desk
) -> None:
    desk.hire(name="silent")
    with running_app(settings.model_copy(update=NO_REDIS)) as without_redis:
        visitor = Visitor(without_redis.test_client())
        assert cells_of(visitor, "silent")[4:8] == ["unknown"] * 4


def cells_of(visitor: Visitor, worker: str) -> list[str]:
    """Return the texts of the cells in the row of a worker."""
    rows = visitor.page(f"{ADMIN}/workers").split("<tr>")
    row = next(row for row in rows if row.startswith(f"<td>{worker}</td>"))
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td[^>]*>(.*?)</td>", row)]


def test_without_a_worker_the_page_says_what_to_do(visitor: Visitor) -> None:
    assert "./antiphon worker" in visitor.page(f"{ADMIN}/workers")


def test_a_project_is_created_changed_and_deleted(visitor: Visitor, store: Store) -> None:
    visitor.send(f"{ADMIN}/projects", id="team-a", name="Team <A>")
    changed = visitor.send(f"{ADMIN}/projects/team-a", name="Team A", max_queued="7")

    assert changed.location == f"{ADMIN}/projects/team-a"
    project = store.administration.get("team-a")
    assert project is not None
    assert (project.name, project.limits.max_queued) == ("Team A", 7)
    assert 'name="max_queued" value="7"' in visitor.page(f"{ADMIN}/projects/team-a")

    visitor.send(f"{ADMIN}/projects/team-a", name="Team A", max_queued="")
    visitor.send(f"{ADMIN}/projects/team-a/delete")

    project = store.administration.get("team-a")
    assert project is not None
    assert (project.status, project.limits.max_queued) == ("deleting", None)
    actions = [entry.action for entry in store.audit.list_entries(limit=10)]
    assert actions == ["project.delete", "project.update", "project.update", "project.create"]


def test_weight_limits_and_permissions_are_changed(visitor: Visitor, store: Store) -> None:
    visitor.send(f"{ADMIN}/projects", id="team-a", name="Team A")
    path = f"{ADMIN}/projects/team-a"

    visitor.send(
        path, weight="2.5", max_running="3", retention_days="7", web_search="denied",
        allowed_models="one, other ,",
    )  # fmt: skip

    project = store.administration.get("team-a")
    assert project is not None
    assert (project.name, project.weight, project.retention_days) == ("Team A", 2.5, 7)
    assert project.allowed_models == ("one", "other")
    assert project.limits == ProjectLimits(max_running=3)
    assert project.permissions == ProjectPermissions(web_search=False)
    page = visitor.page(path)
    assert 'name="weight" value="2.5"' in page
    assert 'name="allowed_models" value="one, other"' in page
    assert re.search(r'name="web_search">\s*<option>allowed</option>\s*<option selected>', page)

    visitor.send(path, weight="", max_running="", retention_days="", allowed_models=" ")
    project = store.administration.get("team-a")
    assert project is not None
    assert (project.weight, project.retention_days, project.allowed_models) == (1, None, None)
    assert project.limits == ProjectLimits()
    assert project.permissions == ProjectPermissions(web_search=False)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_queued", "0", "Invalid 'limits.max_queued': it must be at least 1"),
        ("max_running", "-1", "Invalid 'limits.max_running': it must be at least 1"),
        ("max_running", "many", "Invalid 'limits.max_running': it must be an integer"),
        ("max_streams", "1.5", "'limits.max_streams': expected an integer"),
        ("weight", "0", "Invalid 'weight': it must be at least 0.01"),
        ("weight", "101", "Invalid 'weight': it must be at most 100"),
        ("weight", "nan", "Invalid 'weight': it must be a finite number"),
        ("retention_days", "0", "Invalid 'retention_days': it must be greater than 0"),
        ("name", "x" * 129, "Invalid 'name': it must have at most 128 characters"),
        ("allowed_models", f"a, {'x' * 257}", "Invalid 'allowed_models[1]': it must have at most"),
        ("mcp", "perhaps", "'permissions.mcp': it must be true or false"),
    ],
)
def test_a_wrong_value_is_named_beside_its_field_and_changes_nothing(
    visitor: Visitor, store: Store, field: str, value: str, message: str
) -> None:
    before = store.administration.get("default")

    fields = {"name": "Another", "max_files": "9"} | {field: value}
    answer = visitor.send(f"{ADMIN}/projects/default", **fields)

    page = html.unescape(answer.text)
    assert answer.status_code == 400
    assert message in page
    assert f'name="{field}" aria-invalid="true" aria-describedby="problem"' in page
    assert 'name="max_files" value="9"' in page
    assert store.administration.get("default") == before
    assert [entry.result for entry in store.audit.list_entries(limit=1)] != ["ok"]


def test_who_is_no_operator_changes_no_project(sign_in: SignIn, store: Store) -> None:
    visitor = sign_in(OPERATES)

    answer = visitor.http.post(
        f"{ADMIN}/projects/default",
        data={"csrf_token": visitor.token("/dashboard/responses"), "weight": "9"},
        headers=BROWSER,
    )

    assert answer.status_code == 403
    project = store.administration.get("default")
    assert project is not None
    assert project.weight == 1


def test_a_form_of_another_page_changes_no_project(visitor: Visitor, store: Store) -> None:
    visitor.page(f"{ADMIN}/projects/default")

    answer = visitor.http.post(f"{ADMIN}/projects/default", data={"weight": "9"})

    assert answer.status_code == 403
    project = store.administration.get("default")
    assert project is not None
    assert project.weight == 1


def test_a_project_that_is_deleted_has_no_form(visitor: Visitor) -> None:
    visitor.send(f"{ADMIN}/projects", id="team-a")
    visitor.send(f"{ADMIN}/projects/team-a/delete")

    assert 'name="weight"' not in visitor.page(f"{ADMIN}/projects/team-a")
    assert visitor.send(f"{ADMIN}/projects/team-a", weight="2").status_code == 404


def test_a_key_is_shown_once_and_works(visitor: Visitor, app: OpenAPI, store: Store) -> None:
    answer = visitor.http.post(
        f"{ADMIN}/keys",
        data={"csrf_token": visitor.token("/dashboard/responses"), "name": "<b>Ada</b>",
              "project_id": "default", "scopes": ["dashboard", "admin", "responses:read"]},
        headers=BROWSER,
    )  # fmt: skip

    found = _KEY.search(answer.text)
    assert found
    assert "&lt;b&gt;Ada&lt;/b&gt;" in answer.text
    app.extensions["antiphon"].authenticator.forget()
    assert visitor.open(f"{ADMIN}/keys").status_code == 401
    signed_in = visitor.send("/dashboard/login", key=found[1])
    assert signed_in.status_code == 303
    page = visitor.page(f"{ADMIN}/keys")
    assert found[1] not in page
    assert "admin, dashboard, responses:read" in page
    assert store.audit.list_entries(limit=9)[-1].action == "key.create"


def test_keys_are_rotated_and_revoked(sign_in: SignIn, key_store: Store) -> None:
    visitor = sign_in(ALL_SCOPES)
    other = create_key(key_store, scopes=frozenset({Scope.RESPONSES_READ}))
    token = visitor.token("/dashboard/responses")

    rotated = visitor.http.post(
        f"{ADMIN}/keys/{other.id}/rotate", data={"csrf_token": token}, headers=BROWSER
    )
    revoked = visitor.http.post(f"{ADMIN}/keys/{other.id}/revoke", data={"csrf_token": token})

    assert _KEY.search(rotated.text)
    assert revoked.status_code == 303
    assert '<span class="status revoked">' in visitor.page(f"{ADMIN}/keys")


def test_the_first_key_has_every_scope_by_default(visitor: Visitor) -> None:
    page = visitor.page(f"{ADMIN}/keys")

    assert page.count(" checked>") == len(Scope)
    assert "the server is open" in page


def test_without_a_secret_file_the_page_says_what_is_missing(app: OpenAPI) -> None:
    settings = app.extensions["antiphon"].settings.model_copy(update={"secret_file": None})
    with running_app(settings) as other:
        visitor = Visitor(other.test_client())
        answer = visitor.send(f"{ADMIN}/keys", scopes="admin")

    assert answer.status_code == 400
    assert "ANTIPHON_SECRET_FILE" in answer.text


def test_the_audit_trail_is_paged_and_filtered(visitor: Visitor, desk: Desk) -> None:
    for number in range(3):
        visitor.send(f"{ADMIN}/projects", id=f"team-{number}")

    page = visitor.page(f"{ADMIN}/audit?project_id=team-1")

    assert "<code>team-1</code>" in page
    assert "team-2" not in page
    assert visitor.open(f"{ADMIN}/audit?after=nothing").status_code == 400
    assert desk.sql("SELECT count(*) FROM audit_entries") == [(3,)]
