"""An item that a client sends with the id of another item does not take its place."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.ids import new_id
from tests.integration.api.requests import create_and_wait, error_of, parsed, text_of
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

pytestmark = pytest.mark.usefixtures("worker")


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def start(http: FlaskClient, *items: dict[str, Any]) -> dict[str, Any]:
    return parsed(http.post("/v1/conversations", json={"items": list(items)}))


def items_of(http: FlaskClient, conversation: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/v1/conversations/{conversation['id']}/items?order=asc"
    return list(parsed(http.get(path))["data"])


def read_reference(http: FlaskClient, item_id: str) -> str:
    """Return the text of the item that a reference to `item_id` is replaced by."""
    answer = create_and_wait(http, input=[{"type": "item_reference", "id": item_id}])
    [item] = parsed(http.get(f"/v1/responses/{answer['id']}/input_items"))["data"]
    return str(item["content"][0]["text"])


def plant(http: FlaskClient, item_id: str, *, place: str) -> None:
    """Send an item with the id of another one, as another caller could."""
    planted = message("Planted.", id=item_id)
    if place == "input":
        create_and_wait(http, input=[planted])
    elif place == "conversation":
        start(http, planted)
    elif place == "added":
        path = f"/v1/conversations/{start(http)['id']}/items"
        assert http.post(path, json={"items": [planted]}).status_code == 200
    else:
        create_and_wait(http, input=[planted], conversation=start(http)["id"])


places = pytest.mark.parametrize("place", ["input", "conversation", "added", "turn"])


@places
def test_an_output_stays_what_the_model_wrote(http: FlaskClient, place: str) -> None:
    given = create_and_wait(http)

    plant(http, given["output"][0]["id"], place=place)

    assert read_reference(http, given["output"][0]["id"]) == text_of(given)


@places
def test_an_input_without_an_id_stays_what_its_client_sent(http: FlaskClient, place: str) -> None:
    given = create_and_wait(http, input=[message("Genuine.")])
    [item] = parsed(http.get(f"/v1/responses/{given['id']}/input_items"))["data"]

    plant(http, item["id"], place=place)

    assert read_reference(http, item["id"]) == "Genuine."


@places
def test_an_item_of_a_conversation_stays_what_it_was(http: FlaskClient, place: str) -> None:
    [item] = items_of(http, start(http, message("Genuine.")))

    plant(http, item["id"], place=place)

    assert read_reference(http, item["id"]) == "Genuine."


@places
def test_a_turn_that_a_conversation_outlived_stays_what_it_was(
    http: FlaskClient, place: str
) -> None:
    conversation = start(http)
    turn = create_and_wait(http, input=[message("Genuine.")], conversation=conversation["id"])
    ids = [item["id"] for item in items_of(http, conversation)]
    assert http.delete(f"/v1/responses/{turn['id']}").status_code == 200

    for item_id in ids:
        plant(http, item_id, place=place)

    assert [read_reference(http, item_id) for item_id in ids] == ["Genuine.", text_of(turn)]


@places
def test_a_deleted_item_is_not_replaced(http: FlaskClient, place: str) -> None:
    given = create_and_wait(http)
    [item] = given["output"]
    assert http.delete(f"/v1/responses/{given['id']}").status_code == 200

    plant(http, item["id"], place=place)

    answer = http.post("/v1/responses", json={"input": [message("One."), {"id": item["id"]}]})
    assert answer.status_code == 404
    assert error_of(answer)["param"] == "input[1].id"


def test_an_item_that_was_never_stored_cannot_be_made_up(http: FlaskClient) -> None:
    item_id = f"msg_{new_id().hex}_0"
    plant(http, item_id, place="input")

    answer = http.post("/v1/responses", json={"input": [{"id": item_id}]})

    assert answer.status_code == 404


@places
def test_an_id_that_two_clients_chose_is_refused_by_name(http: FlaskClient, place: str) -> None:
    create_and_wait(http, input=[message("Genuine.", id="mine")])
    assert read_reference(http, "mine") == "Genuine."

    plant(http, "mine", place=place)

    for path, field in (("/v1/responses", "input"), ("/v1/conversations", "items")):
        answer = http.post(path, json={field: [message("One."), {"id": "mine"}]})
        assert answer.status_code == 400
        assert error_of(answer)["param"] == f"{field}[1].id"
        assert "'mine'" in error_of(answer)["message"]


def test_a_copy_made_by_reference_stays_what_it_was(http: FlaskClient) -> None:
    given = create_and_wait(http)
    [item] = given["output"]
    start(http, {"type": "item_reference", "id": item["id"]})
    assert http.delete(f"/v1/responses/{given['id']}").status_code == 200
    plant(http, item["id"], place="conversation")

    assert read_reference(http, item["id"]) == text_of(given)


def test_another_projects_item_cannot_be_referred_to(
    http: FlaskClient, desk: Desk, sql: RunSql
) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))
    [[item_id]] = sql("SELECT body ->> 'id' FROM items WHERE response_id = %s", foreign.id)

    plant(http, item_id, place="input")

    assert http.post("/v1/responses", json={"input": [{"id": item_id}]}).status_code == 404
