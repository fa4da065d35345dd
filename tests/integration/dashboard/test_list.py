"""The list of responses: filters in its address, pages, polling."""

import re

import pytest

from models.responses.status import ResponseStatus
from tests.integration.api.requests import create
from tests.integration.dashboard.conftest import SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk
from tests.polling import eventually
from tests.security.isolation.statements import recorded

LIST = "/dashboard/responses"
_POLL = re.compile(r'hx-get="([^"]+)" hx-trigger="poll"')


def ids_in(page: str) -> list[str]:
    return re.findall(r'<a id="(resp_[0-9a-f]{32})"', page)


def poll_path(page: str) -> str:
    found = _POLL.search(page)
    assert found
    return found[1].replace("&amp;", "&")


def test_it_works(visitor: Visitor) -> None:
    first = create(visitor.http, metadata={"team": "blue"})["id"]
    second = create(visitor.http)["id"]

    page = visitor.page(LIST)

    assert ids_in(page) == [second, first]
    assert "team=blue" in page


def test_an_empty_list_says_what_to_do(visitor: Visitor) -> None:
    assert "curl http://localhost/v1/responses" in visitor.page(LIST)
    assert "No response passes these filters." in visitor.page(f"{LIST}?status=failed")


def test_filters_are_in_the_address(visitor: Visitor, desk: Desk) -> None:
    queued = create(visitor.http, metadata={"team": "blue"})["id"]
    other = create(visitor.http, metadata={"team": "red"})["id"]
    desk.finish(desk.claim(), ResponseStatus.FAILED)  # the older one

    for query, expected in {
        "status=queued": [other],
        "status=failed": [queued],
        "status=active": [other],
        "meta=team%3Dblue": [queued],
        "meta=team%3Dgreen": [],
        "model=scripted": [other, queued],
        "model=another": [],
        f"id={other}": [other],
        "id=resp_": [other, queued],
        "since=1h": [other, queued],
        "since=0m": [],
        "status=failed&meta=team%3Dred": [],
    }.items():
        assert ids_in(visitor.page(f"{LIST}?{query}")) == expected, query


@pytest.mark.parametrize(
    "query",
    ["status=running", "meta=team", "meta=%3Dx", "meta=a%3D%00", "id=resp_xyz", "since=soon",
     "after=resp_1"],
)  # fmt: skip
def test_what_is_no_filter_is_named(visitor: Visitor, query: str) -> None:
    answer = visitor.open(f"{LIST}?{query}")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_filters_are_written_into_the_page_as_text(visitor: Visitor) -> None:
    page = visitor.page(f"{LIST}?model=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")

    assert "<script>alert" not in page
    assert "&#34;&gt;&lt;script&gt;alert(1)" in page


def test_pages_follow_each_other(visitor: Visitor, desk: Desk) -> None:
    made = [desk.create() for _ in range(52)]

    first = visitor.page(f"{LIST}?status=queued")
    found = re.search(r'rel="next" href="([^"]+)"', first)
    assert found
    second = visitor.page(found[1].replace("&amp;", "&"))

    expected = [f"resp_{response.id.hex}" for response in reversed(made)]
    assert ids_in(first) + ids_in(second) == expected
    assert 'rel="next"' not in second
    assert "data-poll" in first
    assert "data-poll" not in second


def test_a_poll_answers_only_what_has_changed_and_costs_one_statement(
    visitor: Visitor, desk: Desk
) -> None:
    desk.finish(desk.running())
    path = poll_path(visitor.page(LIST))

    with recorded() as statements:
        unchanged = visitor.open(path)
        assert visitor.open(path).status_code == 204
    create(visitor.http)
    # Once the rows are not shared any more:
    eventually(lambda: visitor.open(path).status_code == 200)
    changed = visitor.open(path)

    assert (unchanged.status_code, unchanged.data) == (204, b"")
    assert len(statements) == 1  # for both
    assert changed.status_code == 200
    assert changed.text.startswith("<tbody")
    assert len(ids_in(changed.text)) == 2
    assert visitor.open(poll_path(changed.text)).status_code in (200, 204)


def test_a_project_sees_its_own_responses_alone(sign_in: SignIn, desk: Desk) -> None:
    desk.create(metadata={"team": "theirs"})
    mine = desk.create(project_id=desk.add_project("mine"))

    others = sign_in(project_id="default").page(f"{LIST}/rows")
    visitor = sign_in(project_id="mine")

    for page in (visitor.page(LIST), visitor.page(f"{LIST}/rows")):
        assert ids_in(page) == [f"resp_{mine.id.hex}"]
        assert "theirs" not in page
    assert "theirs" in others
