"""Cancelling and deleting all that pass a filter, after they were counted."""

import re

import pytest
from werkzeug.test import TestResponse

from models.responses.status import ResponseStatus
from models.store.store import Store
from tests.integration.api.requests import create, fetch
from tests.integration.dashboard.conftest import LOOKS, SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk

BULK = "/dashboard/bulk"
_FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')


def count(visitor: Visitor, query: str) -> tuple[str, dict[str, str]]:
    """Return the question of the page that counts, and the fields of its form."""
    page = visitor.page(f"{BULK}/{query}")
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found
    main = page.partition("<main")[2]
    return found[1], {name: value.replace("&#34;", '"') for name, value in _FIELD.findall(main)}


def run(visitor: Visitor, action: str, fields: dict[str, str]) -> TestResponse:
    answer = visitor.send(f"{BULK}/{action}", **fields)
    assert answer.status_code == 303, answer.text
    return answer


def test_what_waits_is_cancelled(visitor: Visitor, desk: Desk, store: Store) -> None:
    queued = [create(visitor.http, metadata={"team": "blue"})["id"] for _ in range(3)]
    other = create(visitor.http, metadata={"team": "red"})["id"]
    desk.finish(desk.claim())  # the first one has ended

    question, fields = count(visitor, "cancel?meta=team%3Dblue")
    answer = run(visitor, "cancel", fields)

    assert question == "Cancel 2 responses?"
    assert answer.location == "/dashboard/responses?meta=team%3Dblue"
    statuses = [fetch(visitor.http, response_id)["status"] for response_id in [*queued, other]]
    assert statuses == ["completed", "cancelled", "cancelled", "queued"]
    [entry] = store.audit.list_entries(limit=5)
    assert (entry.action, entry.object) == ("response.bulk", "cancel 2 responses")


def test_what_passes_a_filter_is_deleted(visitor: Visitor, desk: Desk) -> None:
    desk.finish(desk.running(), ResponseStatus.FAILED)
    kept = create(visitor.http)["id"]

    question, fields = count(visitor, "delete?status=failed")
    run(visitor, "delete", fields)

    assert question == "Delete 1 response?"
    [[left]] = desk.sql("SELECT 'resp_' || replace(id::text, '-', '') FROM responses")
    assert left == kept


def test_what_came_after_the_count_stays(visitor: Visitor, desk: Desk) -> None:
    desk.create()
    _, fields = count(visitor, "delete?")
    desk.sql("SELECT pg_sleep(0.002)")  # ids are in order of time to the millisecond
    later = desk.create()

    run(visitor, "delete", fields)

    assert desk.sql("SELECT id FROM responses") == [(later.id,)]


def test_of_very_many_the_newest_are_named(
    visitor: Visitor, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.dashboard.responses.bulk.MAX_AT_ONCE", 2)
    oldest, *_ = [desk.create() for _ in range(3)]

    question, fields = count(visitor, "delete?")
    run(visitor, "delete", fields)

    assert question == "Delete the newest 2 responses?"
    assert desk.sql("SELECT id FROM responses") == [(oldest.id,)]


def test_nothing_to_do_has_no_button(visitor: Visitor, desk: Desk) -> None:
    desk.finish(desk.running())

    page = visitor.page(f"{BULK}/cancel?status=completed")

    assert "Cancel 0 responses?" in page
    assert "Cancel them" not in page


def test_a_response_in_the_foreground_is_left_to_its_client(visitor: Visitor, desk: Desk) -> None:
    waiting = desk.create(background=False)

    run(visitor, "cancel", count(visitor, "cancel?")[1])

    assert desk.status(waiting) is ResponseStatus.QUEUED


@pytest.mark.parametrize("until", ["", "soon", "1e9", "-5", "99999999999999999", "99999999999"])
def test_without_a_count_nothing_is_done(visitor: Visitor, desk: Desk, until: str) -> None:
    queued = desk.create()

    answer = visitor.send(f"{BULK}/delete", until=until)

    assert answer.status_code == 400
    assert desk.status(queued) is ResponseStatus.QUEUED


def test_there_are_no_other_actions(visitor: Visitor) -> None:
    assert visitor.open(f"{BULK}/explode").status_code == 404
    assert visitor.send(f"{BULK}/explode", until="1700000000.0").status_code == 404


def test_who_only_looks_is_refused(sign_in: SignIn, desk: Desk) -> None:
    queued = desk.create()
    visitor = sign_in(LOOKS)

    assert visitor.open(f"{BULK}/delete").status_code == 403
    answer = visitor.http.post(
        f"{BULK}/delete", headers={"X-CSRF-Token": visitor.token("/dashboard/responses")}
    )
    assert answer.status_code == 403
    assert desk.status(queued) is ResponseStatus.QUEUED


def test_other_projects_keep_what_they_have(sign_in: SignIn, desk: Desk) -> None:
    theirs = desk.create()
    desk.create(project_id=desk.add_project("mine"))
    visitor = sign_in(project_id="mine")
    token = visitor.token("/dashboard/responses")

    question, fields = count(visitor, "delete?")
    visitor.http.post(f"{BULK}/delete", data=fields | {"csrf_token": token})

    assert question == "Delete 1 response?"
    assert desk.sql("SELECT id FROM responses") == [(theirs.id,)]
