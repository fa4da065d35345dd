"""GET /v1/responses: filters, order and cursor pagination."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from models.ids import id_floor, new_id, response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from tests.integration.api.requests import create, create_and_wait, error_of, parsed
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker


def list_page(http: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = http.get(f"/v1/responses?{urlencode(query, doseq=True)}")
    assert answer.status_code == 200, answer.text
    page = parsed(answer)
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    return page


def ids_of(page: dict[str, Any]) -> list[str]:
    return [response["id"] for response in page["data"]]


def wire_ids(*created: ResponseRecord) -> list[str]:
    return [response_wire_id(record.id) for record in created]


def walk(http: FlaskClient, **query: Any) -> list[str]:
    """Return the ids on all pages, each requested after the previous one's last id."""
    page = list_page(http, **query)
    seen = ids_of(page)
    while page["has_more"]:
        page = list_page(http, **query, after=page["last_id"])
        seen += ids_of(page)
    return seen


def test_it_works(http: FlaskClient) -> None:
    older, newer = create(http), create(http)

    page = list_page(http)

    assert page["object"] == "list"
    assert page["data"] == [newer, older]
    assert (page["first_id"], page["last_id"]) == (newer["id"], older["id"])
    assert page["has_more"] is False


def test_an_empty_list_has_no_ids(http: FlaskClient) -> None:
    page = list_page(http)

    assert page["data"] == []
    assert (page["first_id"], page["last_id"], page["has_more"]) == (None, None, False)


def test_listed_responses_have_their_output(http: FlaskClient, worker: InProcessWorker) -> None:
    finished = create_and_wait(http)

    assert list_page(http)["data"] == [finished]


def test_the_oldest_come_first_if_asked_for(http: FlaskClient, desk: Desk) -> None:
    created = [desk.create() for _ in range(3)]

    assert ids_of(list_page(http, order="asc")) == wire_ids(*created)
    assert ids_of(list_page(http, order="desc")) == wire_ids(*reversed(created))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_the_pages_have_every_response_once(
    http: FlaskClient, desk: Desk, order: str, limit: int
) -> None:
    created = wire_ids(*(desk.create() for _ in range(5)))

    seen = walk(http, order=order, limit=limit)

    assert seen == (created if order == "asc" else created[::-1])


def test_a_page_that_is_exactly_full_has_nothing_after_it(http: FlaskClient, desk: Desk) -> None:
    for _ in range(2):
        desk.create()

    assert list_page(http, limit=2)["has_more"] is False
    assert list_page(http, limit=1)["has_more"] is True


def test_twenty_are_listed_unless_asked_otherwise(http: FlaskClient, desk: Desk) -> None:
    for _ in range(21):
        desk.create()

    page = list_page(http)

    assert len(page["data"]) == 20
    assert page["has_more"] is True


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "cancelled"])
def test_a_status_narrows_the_list(http: FlaskClient, desk: Desk, status: str) -> None:
    running, completed, cancelled = (desk.running() for _ in range(3))
    desk.finish(completed)
    desk.finish(cancelled, ResponseStatus.CANCELLED)
    queued = desk.create()
    expected = {
        "queued": queued,
        "in_progress": running,
        "completed": completed,
        "cancelled": cancelled,
    }

    assert ids_of(list_page(http, status=status)) == wire_ids(expected[status])


def test_a_model_narrows_the_list(http: FlaskClient, desk: Desk) -> None:
    desk.create()
    other = desk.create(model="owner/other model")

    assert ids_of(list_page(http, model="owner/other model")) == wire_ids(other)
    assert ids_of(list_page(http, model="third")) == []


def test_metadata_narrows_the_list(http: FlaskClient, desk: Desk) -> None:
    both = desk.create(metadata={"team": "a b", "run": "7"})
    one = desk.create(metadata={"team": "a b", "run": "8"})
    desk.create(metadata={"team": "c"})
    desk.create()

    assert ids_of(list_page(http, **{"metadata[team]": "a b"})) == wire_ids(one, both)
    assert ids_of(list_page(http, **{"metadata[team]": "a b", "metadata[run]": "7"})) == wire_ids(
        both
    )
    assert ids_of(list_page(http, **{"metadata[team]": "A B"})) == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_several_statuses_are_one_list_in_order(http: FlaskClient, desk: Desk, order: str) -> None:
    both = ["queued,completed", ("queued", "completed")]
    created = [desk.create() for _ in range(8)]
    for record in created[::2]:
        desk.sql("UPDATE responses SET status = 'completed' WHERE id = %s", record.id)
    for record in created[1::4]:
        desk.sql("UPDATE responses SET status = 'failed' WHERE id = %s", record.id)
    listed = [record for number, record in enumerate(created) if number % 4 != 1]
    expected = wire_ids(*listed) if order == "asc" else wire_ids(*listed[::-1])

    for statuses in both:
        assert walk(http, status=statuses, order=order, limit=2) == expected
    backward = list_page(http, status=both[0], order=order, before=expected[4], limit=2)
    assert (ids_of(backward), backward["has_more"]) == (expected[2:4], True)


def test_times_narrow_the_list(http: FlaskClient, desk: Desk) -> None:
    hours = [
        UUID(int=id_floor(datetime.fromtimestamp(3600 * hour, UTC)).int + 1) for hour in (1, 2, 3)
    ]
    first, second, third = wire_ids(*(desk.create(id=of_hour) for of_hour in hours))

    assert ids_of(list_page(http, since=7200)) == [third, second]
    assert ids_of(list_page(http, until=7200)) == [first]
    assert ids_of(list_page(http, since=3601, until=7201)) == [second]
    assert ids_of(list_page(http, since=7201, until=7201)) == []


def test_the_beginning_of_an_id_finds_it(http: FlaskClient, desk: Desk) -> None:
    near, far = wire_ids(desk.create(id=UUID(int=0xAB << 120)), desk.create())

    assert ids_of(list_page(http, id_prefix="resp_ab")) == [near]
    assert ids_of(list_page(http, id_prefix=far.removeprefix("resp_"))) == [far]
    assert ids_of(list_page(http, id_prefix="resp_ac")) == []
    assert ids_of(list_page(http, id_prefix="resp_")) == [near, far]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_can_be_read_backwards(http: FlaskClient, desk: Desk, order: str) -> None:
    created = wire_ids(*(desk.create() for _ in range(5)))
    expected = created if order == "asc" else created[::-1]

    near = list_page(http, order=order, before=expected[4], limit=2)
    first = list_page(http, order=order, before=near["first_id"], limit=2)
    between = list_page(http, order=order, after=expected[0], before=expected[3])

    assert (ids_of(near), near["has_more"]) == (expected[2:4], True)
    assert (ids_of(first), first["has_more"]) == (expected[:2], False)
    assert ids_of(between) == expected[1:3]


def test_the_filters_hold_on_every_page(http: FlaskClient, desk: Desk) -> None:
    wanted = []
    for _ in range(3):
        wanted.append(desk.running())
        desk.create(model="other")

    seen = walk(http, status="in_progress", model="scripted", limit=1, order="asc")

    assert seen == wire_ids(*wanted)


def test_a_cursor_outlives_its_response(http: FlaskClient, desk: Desk) -> None:
    oldest, middle, _newest = (desk.create() for _ in range(3))
    [cursor] = wire_ids(middle)
    http.delete(f"/v1/responses/{cursor}")

    assert ids_of(list_page(http, after=cursor)) == wire_ids(oldest)


def test_responses_that_are_not_stored_are_not_listed(http: FlaskClient, desk: Desk) -> None:
    desk.create(store=False, parameters={})

    assert list_page(http)["data"] == []


def test_responses_of_another_project_are_not_listed(http: FlaskClient, desk: Desk) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))
    [cursor] = wire_ids(foreign)
    ours = desk.create()

    assert ids_of(list_page(http)) == wire_ids(ours)
    assert ids_of(list_page(http, order="asc", after=cursor)) == wire_ids(ours)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("after", "resp_x"),
        ("after", new_id().hex),
        ("after", ""),
        ("before", "resp_x"),
        ("metadata", "x"),
        ("metadata[k", "x"),
        ("metadata[k]", "x" * 513),
        ("metadata[k]", "\0"),
        ("metadata[" + "k" * 65 + "]", "x"),
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("order", "up"),
        ("status", "running"),
        ("status", "queued,{x}"),
        ("status", ""),
        ("since", "yesterday"),
        ("since", "-1"),
        ("until", str(1 << 40)),
        ("id_prefix", "msg_1"),
        ("id_prefix", "resp_XYZ"),
        ("id_prefix", "0" * 33),
        ("colour", "red"),
    ],
)
def test_a_query_that_cannot_be_followed_is_refused_by_name(
    http: FlaskClient, name: str, value: str
) -> None:
    answer = http.get(f"/v1/responses?{urlencode({name: value})}")

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["type"], error["param"]) == ("invalid_request_error", name)


def test_a_model_that_no_row_can_have_is_not_a_fault_of_the_server(http: FlaskClient) -> None:
    answer = http.get("/v1/responses?model=%00")

    assert answer.status_code < 500, answer.text
