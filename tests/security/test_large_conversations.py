"""One request never reads an unbounded amount of stored items (finding A6)."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from models.store import item_pages
from models.store.content.codec import ContentCodec
from models.store.store import Store
from tests.integration.api.requests import create, create_and_wait, error_of, parsed

MIB = "a" * (1 << 20)


def message(text: str, num_parts: int = 1, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": text}] * num_parts
    return {"type": "message", "role": "user", "content": parts, **fields}


def make_conversation(http: FlaskClient, *items: dict[str, Any]) -> str:
    answer = http.post("/v1/conversations", json={"items": list(items)})
    assert answer.status_code == 200, answer.text
    return str(parsed(answer)["id"])


def fill(http: FlaskClient, conversation: str, num_items: int, num_mib: int) -> None:
    """Add items of some MiB each."""
    for number in range(num_items):
        items = [message(MIB, num_mib, id=f"m{number}")]
        answer = http.post(f"/v1/conversations/{conversation}/items", json={"items": items})
        assert answer.status_code == 200, answer.text


@pytest.fixture
def rows_read(app: Any) -> Iterator[list[int]]:
    """Yield the number of rows that each statement of the API has returned."""
    counts: list[int] = []
    engine = app.extensions["antiphon"].store.database._pool._engine

    def count(_: object, cursor: Any, *__: object) -> None:
        if cursor.description:
            counts.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", count)
    yield counts
    event.remove(engine, "after_cursor_execute", count)


def test_items_are_read_by_key_or_by_page(http: FlaskClient, rows_read: list[int]) -> None:
    conversation = make_conversation(http, *(message("a", id=f"m{n}") for n in range(20)))
    items = f"/v1/conversations/{conversation}/items"
    rows_read.clear()

    found = parsed(http.get(f"{items}/m7"))
    missing = http.get(f"{items}/nothing")
    page = parsed(http.get(f"{items}?limit=2&after=m7&order=asc"))
    added = http.post(items, json={"items": [message("a", id="new")]})
    used = http.post(items, json={"items": [message("a", id="m7")]})
    deleted = http.delete(f"{items}/m7")

    assert found["id"] == "m7"
    assert missing.status_code == 404
    assert [item["id"] for item in page["data"]] == ["m8", "m9"]
    assert page["has_more"]
    assert (added.status_code, deleted.status_code) == (200, 200)
    assert error_of(used)["param"] == "items[0].id"
    assert max(rows_read) <= 3


@pytest.mark.parametrize("item_id", ["%00", "m1%00", "%ff", "%ed%a0%80", "m1%20", "m1'--"])
def test_an_id_that_cannot_be_is_not_found(http: FlaskClient, item_id: str) -> None:
    conversation = make_conversation(http, message("a", id="m1"))
    path = f"/v1/conversations/{conversation}/items/{item_id}"

    assert [http.get(path).status_code, http.delete(path).status_code] == [404, 404]
    assert error_of(http.get(path))["code"] == "item_not_found"


def test_input_items_are_read_by_page(http: FlaskClient, rows_read: list[int]) -> None:
    response = create(http, input=[message("a", id=f"m{n}") for n in range(50)])
    rows_read.clear()

    path = f"/v1/responses/{response['id']}/input_items"
    pages = [parsed(http.get(f"{path}?limit=2{more}")) for more in ("", "&after=m49", "&after=m1")]

    assert [[item["id"] for item in page["data"]] for page in pages] == [
        *(["m49", "m48"], ["m48", "m47"], ["m0"])
    ]
    assert [page["has_more"] for page in pages] == [True, True, False]
    assert max(rows_read) <= 3


def test_a_conversation_is_full_at_its_limit(http: FlaskClient) -> None:
    conversation = make_conversation(http)
    fill(http, conversation, 3, 20)
    items = f"/v1/conversations/{conversation}/items"

    full = http.post(items, json={"items": [message(MIB, 5)]})
    small = http.post(items, json={"items": [message("a")]})
    http.delete(f"{items}/m0")
    again = http.post(items, json={"items": [message(MIB, 5)]})

    assert full.status_code == 400
    assert error_of(full)["code"] == "conversation_full"
    assert (small.status_code, again.status_code) == (200, 200)


def test_a_page_of_large_items_ends_at_the_limit(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = make_conversation(http, *(message(MIB, id=f"m{n}") for n in range(4)))
    store: Store = http.application.extensions["antiphon"].store
    monkeypatch.setattr(item_pages, "MAX_BYTES", 2 << 20)
    codec = ContentCodec(store.data_keys)
    pages = item_pages.ItemPages(store.database, codec, is_input=False)
    record = store.conversations
    monkeypatch.setattr(record, "pages", pages)

    page = parsed(http.get(f"/v1/conversations/{conversation}/items?order=asc"))
    rest = parsed(http.get(f"/v1/conversations/{conversation}/items?order=asc&after=m2"))

    assert [item["id"] for item in page["data"]] == ["m0"]
    assert page["has_more"]
    assert [item["id"] for item in rest["data"]] == ["m3"]


def test_references_are_read_up_to_a_limit(http: FlaskClient) -> None:
    ids = [f"m{number}" for number in range(4)]
    for item_id in ids:
        make_conversation(http, message(MIB, 20, id=item_id))

    body = {"input": [{"type": "item_reference", "id": item_id} for item_id in ids]}
    answer = http.post("/v1/responses/input_tokens", json=body)

    assert answer.status_code == 400
    error = error_of(answer)
    assert error["code"] == "context_length_exceeded"
    assert "stored items" in error["message"]


def test_a_request_that_goes_on_from_too_much_is_refused(
    http: FlaskClient, store: Store, sql: Any
) -> None:
    conversation = make_conversation(http, *(message("a", id=f"m{n}") for n in range(4)))
    big = '{"type": "message", "role": "user", "content": "' + MIB * 20 + '"}'
    sql("UPDATE conversation_items SET body = CAST(%s AS json)", big)

    answer = http.post("/v1/responses", json={"conversation": conversation, "input": "a"})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "conversation"


@pytest.mark.usefixtures("worker")
def test_so_is_a_chain_of_too_much(http: FlaskClient, sql: Any) -> None:
    first = create_and_wait(http)
    second = create_and_wait(http, previous_response_id=first["id"])
    big = '{"type": "message", "id": "m", "role": "user", "content": "' + MIB * 20 + '"}'
    sql("UPDATE items SET body = CAST(%s AS json)", big)

    answer = http.post("/v1/responses", json={"previous_response_id": second["id"], "input": "a"})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "previous_response_id"
