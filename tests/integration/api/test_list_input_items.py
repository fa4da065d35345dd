"""GET /v1/responses/{id}/input_items: the input of a response, item by item."""

from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from models.ids import new_id, response_wire_id
from tests.factories import input_message, stored_response
from tests.integration.api.requests import create, create_and_wait, error_of, parsed
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker


def list_page(http: FlaskClient, response: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = http.get(f"/v1/responses/{response['id']}/input_items?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    page = parsed(answer)
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    return page


def texts_of(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


def messages(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def walk(http: FlaskClient, response: dict[str, Any], **query: Any) -> list[str]:
    """Return the texts on at most ten pages, each requested after the previous one's last id."""
    page = list_page(http, response, **query)
    seen = texts_of(page)
    for _ in range(9):
        if not page["has_more"]:
            break
        page = list_page(http, response, **query, after=page["last_id"])
        seen += texts_of(page)
    return seen


def test_it_works(http: FlaskClient) -> None:
    response = create(http, input=messages("one", "two"))

    page = list_page(http, response)

    assert page["object"] == "list"
    assert texts_of(page) == ["two", "one"]
    assert (page["first_id"], page["last_id"]) == tuple(item["id"] for item in page["data"])
    assert page["has_more"] is False


def test_a_string_is_one_message_of_the_user(http: FlaskClient) -> None:
    response = create(http, input="Hello.")

    [item] = list_page(http, response)["data"]

    assert item == {
        "type": "message",
        "id": f"msg_{response['id'].removeprefix('resp_')}_in0",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hello."}],
    }


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("user", "input_text"),
        ("system", "input_text"),
        ("developer", "input_text"),
        ("assistant", "output_text"),
    ],
)
def test_content_given_as_a_string_is_listed_as_a_part(
    http: FlaskClient, role: str, kind: str
) -> None:
    response = create(http, input=[{"role": role, "content": "Hello."}])

    [item] = list_page(http, response)["data"]

    assert item["role"] == role
    assert item["content"] == [{"type": kind, "text": "Hello."}]


def test_the_parts_of_an_item_come_back_as_they_were_given(http: FlaskClient) -> None:
    parts = [{"type": "input_text", "text": text} for text in ("one", "two")]
    response = create(http, input=[{"role": "user", "content": parts}])

    assert list_page(http, response)["data"][0]["content"] == parts


def test_an_id_that_the_client_gave_is_kept(http: FlaskClient) -> None:
    items = [{"id": "mine", "role": "user", "content": "one"}, *messages("two")]
    response = create(http, input=items)

    page = list_page(http, response, order="asc")

    digits = response["id"].removeprefix("resp_")
    assert [item["id"] for item in page["data"]] == ["mine", f"msg_{digits}_in1"]


def test_the_ids_are_the_same_each_time(http: FlaskClient) -> None:
    response = create(http, input=messages("one", "two"))

    assert list_page(http, response) == list_page(http, response)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_pages_have_every_item_once(http: FlaskClient, order: str, limit: int) -> None:
    texts = ["one", "two", "three"]
    response = create(http, input=messages(*texts))

    seen = walk(http, response, order=order, limit=limit)

    assert seen == (texts if order == "asc" else texts[::-1])


def test_the_pages_have_every_item_once_though_clients_gave_equal_ids(http: FlaskClient) -> None:
    texts = ["one", "two", "three"]
    body = {"background": True, "input": [{**item, "id": "mine"} for item in messages(*texts)]}
    answer = http.post("/v1/responses", json=body)

    is_refused = answer.status_code == 400

    assert is_refused or walk(http, parsed(answer), order="asc", limit=1) == texts


def test_twenty_are_listed_unless_asked_otherwise(http: FlaskClient) -> None:
    response = create(http, input=messages(*map(str, range(21))))

    page = list_page(http, response)

    assert texts_of(page) == [str(number) for number in range(20, 0, -1)]
    assert page["has_more"] is True


def test_nothing_comes_after_the_last_item(http: FlaskClient) -> None:
    response = create(http, input=messages("one", "two"))
    last_id = list_page(http, response)["last_id"]

    page = list_page(http, response, after=last_id)

    assert (page["data"], page["first_id"], page["last_id"]) == ([], None, None)


def test_only_the_items_of_this_turn_are_listed(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http, input="One.")
    second = create_and_wait(http, input="Two.", previous_response_id=first["id"])

    assert texts_of(list_page(http, second)) == ["Two."]
    assert texts_of(list_page(http, first)) == ["One."]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("after", "msg_x"),
        ("after", ""),
        ("limit", "0"),
        ("limit", "101"),
        ("order", "up"),
        ("colour", "red"),
    ],
)
def test_a_query_that_cannot_be_followed_is_refused_by_name(
    http: FlaskClient, name: str, value: str
) -> None:
    response = create(http)

    answer = http.get(f"/v1/responses/{response['id']}/input_items?{urlencode({name: value})}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == name


@pytest.mark.parametrize("wire_id", [response_wire_id(new_id()), "resp_x"])
def test_an_unknown_id_is_not_found(http: FlaskClient, wire_id: str) -> None:
    answer = http.get(f"/v1/responses/{wire_id}/input_items")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_the_items_of_another_project_are_not_found(http: FlaskClient, desk: Desk) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))

    answer = http.get(f"/v1/responses/{response_wire_id(foreign.id)}/input_items")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_addresses_of_images_are_shown_to_those_who_ask(http: FlaskClient, desk: Desk) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,eA==", "detail": "auto"}
    record = stored_response()
    message = {**input_message(record.id), "content": [image]}
    desk.store.responses.create(record, [message])
    response = {"id": response_wire_id(record.id)}

    [hidden] = list_page(http, response)["data"]
    for name in ("include[]", "include"):
        [shown] = list_page(http, response, **{name: "message.input_image.image_url"})["data"]
        assert shown["content"] == [image]

    assert hidden["content"] == [{**image, "image_url": None}]


@pytest.mark.parametrize("path", ["", "/input_items"])
def test_what_cannot_be_included_is_refused_by_its_place(http: FlaskClient, path: str) -> None:
    response = create(http)
    query = urlencode([("include[]", "message.output_text.logprobs"), ("include[]", "everything")])

    answer = http.get(f"/v1/responses/{response['id']}{path}?{query}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "include[1]"
