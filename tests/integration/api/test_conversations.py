"""/v1/conversations: items that responses share, and the turns that responses add."""

from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.ids import new_id
from models.responses.status import ResponseStatus
from tests.integration.api.requests import (
    cancel,
    create,
    create_and_wait,
    error_of,
    parsed,
    text_of,
)
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

UNKNOWN = f"conv_{new_id().hex}"


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def start(http: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/conversations", json=body)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def items_of(http: FlaskClient, conversation: dict[str, Any], **query: Any) -> dict[str, Any]:
    path = f"/v1/conversations/{conversation['id']}/items?{urlencode(query)}"
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def texts_of(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


def test_it_works(http: FlaskClient) -> None:
    made = start(http, items=[message("One."), message("Two.")], metadata={"a": "b"})

    assert set(made) == {"id", "object", "created_at", "metadata"}
    assert (made["object"], made["metadata"]) == ("conversation", {"a": "b"})
    assert parsed(http.get(f"/v1/conversations/{made['id']}")) == made
    assert texts_of(items_of(http, made, order="asc")) == ["One.", "Two."]


def test_nothing_is_required(http: FlaskClient) -> None:
    made = start(http)

    assert made["metadata"] == {}
    assert items_of(http, made) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_the_metadata_is_replaced(http: FlaskClient) -> None:
    made = start(http, metadata={"a": "b"})

    answer = http.post(f"/v1/conversations/{made['id']}", json={"metadata": {"c": "d"}})

    assert parsed(answer) == {**made, "metadata": {"c": "d"}}
    assert parsed(http.get(f"/v1/conversations/{made['id']}")) == parsed(answer)


def test_items_are_added_read_and_taken_out(http: FlaskClient) -> None:
    made = start(http, items=[message("One.")])
    path = f"/v1/conversations/{made['id']}/items"

    added = parsed(http.post(path, json={"items": [message("Two.", id="two"), message("Three.")]}))
    item = parsed(http.get(f"{path}/two"))
    taken_out = http.delete(f"{path}/two")

    assert texts_of(added) == ["Two.", "Three."]
    assert (added["first_id"], added["has_more"]) == ("two", False)
    assert item == added["data"][0]
    assert parsed(taken_out) == made
    assert texts_of(items_of(http, made, order="asc")) == ["One.", "Three."]
    assert error_of(http.get(f"{path}/two"))["code"] == "item_not_found"


def test_the_pages_have_every_item_once(http: FlaskClient) -> None:
    made = start(http, items=[message(str(number)) for number in range(5)])

    page = items_of(http, made, limit=2)
    seen = texts_of(page)
    while page["has_more"]:
        page = items_of(http, made, limit=2, after=page["last_id"])
        seen += texts_of(page)

    assert seen == ["4", "3", "2", "1", "0"]


def test_a_deleted_conversation_is_gone(http: FlaskClient, sql: RunSql) -> None:
    made = start(http, items=[message("One.")])

    answer = http.delete(f"/v1/conversations/{made['id']}")

    deleted = {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert parsed(answer) == deleted
    assert error_of(http.get(f"/v1/conversations/{made['id']}"))["code"] == "conversation_not_found"
    assert sql("SELECT count(*) FROM conversation_items") == [(0,)]


@pytest.mark.usefixtures("worker")
def test_turns_are_added_and_are_the_context_of_the_next(http: FlaskClient) -> None:
    made = start(http, items=[message("Zero.")])

    first = create_and_wait(http, input="One.", conversation=made["id"])
    second = create_and_wait(http, input="Two.", conversation={"id": made["id"]})

    assert first["conversation"] == second["conversation"] == {"id": made["id"]}
    said = ["Zero.", "One.", text_of(first), "Two.", text_of(second)]
    assert texts_of(items_of(http, made, order="asc")) == said
    assert second["usage"]["input_tokens"] == len("\n".join(said[:4]))


@pytest.mark.usefixtures("worker")
def test_items_outlive_the_response_that_made_them(http: FlaskClient) -> None:
    made = start(http)
    turn = create_and_wait(http, conversation=made["id"])

    http.delete(f"/v1/responses/{turn['id']}")

    assert len(items_of(http, made)["data"]) == 2


@pytest.mark.parametrize("status", [ResponseStatus.FAILED, ResponseStatus.CANCELLED])
def test_a_turn_that_does_not_end_well_adds_nothing(
    http: FlaskClient, desk: Desk, status: ResponseStatus
) -> None:
    made = start(http)
    create(http, conversation=made["id"])

    desk.finish(desk.claim(), status)

    assert items_of(http, made)["data"] == []
    assert create(http, conversation=made["id"])["status"] == "queued"


def test_a_stale_attempt_adds_nothing(http: FlaskClient, desk: Desk) -> None:
    made = start(http)
    create(http, conversation=made["id"])
    stale = desk.claim()
    desk.store.claims.hand_back([stale])
    desk.claim()

    assert not desk.finish(stale)

    assert items_of(http, made)["data"] == []
    assert error_of(_respond(http, made))["code"] == "conversation_locked"


def _respond(http: FlaskClient, conversation: dict[str, Any]) -> TestResponse:
    body = {"input": "Hello.", "background": True, "conversation": conversation["id"]}
    return http.post("/v1/responses", json=body)


def test_while_a_response_works_on_it_nothing_else_does(http: FlaskClient) -> None:
    made = start(http, items=[message("One.", id="one")])
    running = create(http, conversation=made["id"])
    path = f"/v1/conversations/{made['id']}"

    refused = [
        _respond(http, made),
        http.post(f"{path}/items", json={"items": [message("Two.")]}),
        http.delete(f"{path}/items/one"),
        http.delete(path),
    ]

    for answer in refused:
        assert answer.status_code == 400
        error = error_of(answer)
        assert (error["code"], error["param"]) == ("conversation_locked", "conversation")
    assert texts_of(items_of(http, made)) == ["One."]
    assert http.post(path, json={"metadata": {}}).status_code == 200
    cancel(http, running["id"])
    assert _respond(http, made).status_code == 200


def test_deleting_the_response_that_works_on_it_frees_it(http: FlaskClient) -> None:
    made = start(http)
    running = create(http, conversation=made["id"])

    http.delete(f"/v1/responses/{running['id']}")

    assert _respond(http, made).status_code == 200


@pytest.mark.usefixtures("worker")
def test_what_cannot_go_with_a_conversation_is_refused_by_name(http: FlaskClient) -> None:
    made = start(http, items=[message("One.", id="one")])
    turn = create_and_wait(http, conversation=made["id"])
    other = create_and_wait(http)

    for body, param in (
        ({"previous_response_id": other["id"]}, "conversation"),
        ({"store": False, "background": False}, "store"),
        ({"conversation": None, "previous_response_id": turn["id"]}, "previous_response_id"),
        ({"input": [message("Again.", id="one")]}, "input[0].id"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
    ):
        given = {"input": "Hello.", "background": True, "conversation": made["id"], **body}
        answer = http.post("/v1/responses", json=given)
        assert answer.status_code == 400, body
        assert error_of(answer)["param"] == param


@pytest.mark.parametrize("wire_id", [UNKNOWN, "conv_x", "x", "foreign"])
def test_a_conversation_that_is_not_ours_is_not_there(
    http: FlaskClient, sql: RunSql, desk: Desk, wire_id: str
) -> None:
    if wire_id == "foreign":
        made = start(http)
        desk.add_project("other")
        sql("UPDATE conversations SET project_id = 'other'")
        wire_id = made["id"]
    path = f"/v1/conversations/{wire_id}"

    answers = [
        http.get(path),
        http.post(path, json={"metadata": {}}),
        http.delete(path),
        http.get(f"{path}/items"),
        http.post(f"{path}/items", json={"items": [message("x")]}),
        http.get(f"{path}/items/x"),
        http.delete(f"{path}/items/x"),
        _respond(http, {"id": wire_id}),
    ]

    for answer in answers:
        assert answer.status_code == 404
        assert error_of(answer)["code"] == "conversation_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": [message("x")] * 21}, "items"),
        ({"items": [{"role": "root", "content": "x"}]}, "items[0].role"),
        ({"items": [message("x", id="same"), message("y", id="same")]}, "items[1].id"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"colour": "red"}, "colour"),
        ({"items": [message("x"), {"type": "computer_call"}]}, "items[1].type"),
    ],
)
def test_a_body_that_is_not_valid_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/conversations", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.usefixtures("worker")
def test_a_reference_stands_for_the_item_it_names(http: FlaskClient) -> None:
    given = create_and_wait(http, input=[message("One.", id="mine")])
    [said] = given["output"]
    made = start(http, items=[{"type": "item_reference", "id": said["id"]}])

    answer = create_and_wait(http, input=[{"id": "mine"}, {"id": said["id"]}, message("Two.")])

    items = parsed(http.get(f"/v1/responses/{answer['id']}/input_items?order=asc"))["data"]
    assert [item["content"][0]["text"] for item in items] == ["One.", text_of(given), "Two."]
    assert texts_of(items_of(http, made)) == [text_of(given)]


def test_a_reference_to_nothing_is_refused_by_its_place(http: FlaskClient, desk: Desk) -> None:
    desk.create(project_id=desk.add_project("other"))
    [[foreign]] = desk.sql("SELECT body ->> 'id' FROM items")

    for item_id in ("msg_x", foreign):
        answer = http.post("/v1/responses", json={"input": [message("One."), {"id": item_id}]})
        assert answer.status_code == 404
        error = error_of(answer)
        assert (error["code"], error["param"]) == ("item_not_found", "input[1].id")
