"""Pages about webhook endpoints and their deliveries."""

import re
from pathlib import Path

import pytest

from models.access.scopes import Scope
from models.settings import Settings
from models.store.store import Store
from tests.integration.dashboard.conftest import OPERATES, SignIn
from tests.integration.dashboard.visitor import BROWSER, Visitor
from tests.integration.desk import Desk

WEBHOOKS = "/dashboard/webhooks"
URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    networks = Settings(webhook_networks="127.0.0.0/8").webhook_networks
    return settings.model_copy(update={"webhook_networks": networks})


def add(visitor: Visitor, url: str = URL) -> str:
    """Add an endpoint by the form; return the path of its page."""
    answer = visitor.http.post(
        WEBHOOKS,
        data={"csrf_token": visitor.token("/dashboard/responses"), "url": url, "name": "<i>a</i>",
              "event_types": ["response.completed", "response.failed"]},
        headers=BROWSER,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert re.search(r'<code id="made">whsec_', answer.text)
    found = re.search(rf'href="({WEBHOOKS}/we_[0-9a-f]+)"', answer.text)
    assert found
    return found[1]


def test_an_endpoint_is_added_and_its_secret_shown_once(visitor: Visitor, store: Store) -> None:
    path = add(visitor)

    page = visitor.page(WEBHOOKS)
    assert "whsec_" not in page
    assert "&lt;i&gt;a&lt;/i&gt;" in page
    assert URL in visitor.page(path)
    assert [entry.action for entry in store.audit.list_entries(limit=5)] == [
        "webhook_endpoint.create"
    ]


def test_deliveries_are_shown_and_sent_again(visitor: Visitor, desk: Desk, store: Store) -> None:
    path = add(visitor)
    running = desk.running()
    desk.finish(running)
    desk.sql("UPDATE webhook_deliveries SET status = 'dead', last_error = '<b>refused</b>'")

    page = visitor.page(f"{path}?status=dead")
    assert f"/dashboard/responses/resp_{running.id.hex}" in page
    assert "&lt;b&gt;refused&lt;/b&gt;" in page
    assert f"resp_{running.id.hex}" not in visitor.page(f"{path}?status=delivered")

    answer = visitor.send(f"{path}/replay")

    assert (answer.status_code, answer.location) == (303, path)
    assert desk.sql("SELECT status FROM webhook_deliveries") == [("pending",)]
    assert store.audit.list_entries(limit=1)[0].action == "webhook_endpoint.replay"


def test_a_test_event_says_what_went_wrong(visitor: Visitor) -> None:
    answer = visitor.send(f"{add(visitor)}/test")

    assert answer.status_code == 400
    assert "The endpoint was not reached" in answer.text


def test_an_endpoint_is_deleted(visitor: Visitor) -> None:
    path = add(visitor)

    assert visitor.send(f"{path}/delete").location == WEBHOOKS
    assert visitor.open(path).status_code == 404


def test_a_bad_address_is_refused(visitor: Visitor) -> None:
    answer = visitor.send(WEBHOOKS, url="javascript:alert(1)", event_types="response.completed")

    assert answer.status_code == 400


def test_they_need_the_scope_of_webhooks(sign_in: SignIn) -> None:
    assert sign_in(OPERATES).open(WEBHOOKS).status_code == 403
    assert sign_in(OPERATES | {Scope.WEBHOOKS}).open(WEBHOOKS).status_code == 200


def test_endpoints_of_other_projects_are_not_there(
    visitor: Visitor, sign_in: SignIn, desk: Desk
) -> None:
    path = add(visitor)
    desk.add_project("mine")
    other = sign_in(OPERATES | {Scope.WEBHOOKS}, "mine")

    assert path not in other.page(WEBHOOKS)
    assert other.open(path).status_code == 404
