"""Items that several requests add to a conversation at one moment: each id is taken once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from models.store.conversations import Conversations
from tests.integration.api.requests import error_of, parsed
from tests.polling import PATIENCE_S

_NUM_REQUESTS = 4


def add_at_once(app: OpenAPI, path: str, ids: list[list[str]]) -> list[TestResponse]:
    """Add items of these ids, each list by a request of its own."""

    def add(own: list[str]) -> TestResponse:
        items = [{"role": "user", "content": "a", "id": item_id} for item_id in own]
        return app.test_client().post(path, json={"items": items})

    with ThreadPoolExecutor(len(ids)) as pool:
        return list(pool.map(add, ids))


@pytest.fixture
def path(app: OpenAPI, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the path of a conversation whose ids all requests find free before one adds items."""
    together = threading.Barrier(_NUM_REQUESTS)
    used_ids = Conversations.used_ids
    seen = threading.local()

    def meet(*args: object) -> set[str]:
        used = used_ids(*args)  # type: ignore[arg-type]
        if not hasattr(seen, "is_met"):
            seen.is_met = True
            together.wait(PATIENCE_S)
        return used

    monkeypatch.setattr(Conversations, "used_ids", meet)
    made = parsed(app.test_client().post("/v1/conversations", json={}))
    return f"/v1/conversations/{made['id']}/items"


@pytest.mark.parametrize("position", [0, 2])
def test_an_id_is_taken_once(app: OpenAPI, path: str, position: int) -> None:
    own = [[f"own_{n}_{k}" for k in range(position)] for n in range(_NUM_REQUESTS)]

    answers = add_at_once(app, path, [[*ids, "same"] for ids in own])

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    for answer in answers:
        if answer.status_code == 400:
            error = error_of(answer)
            assert error["param"] == f"items[{position}].id"
            assert error["message"] == "The conversation has an item with the id 'same' already."
    assert len(parsed(app.test_client().get(path))["data"]) == position + 1


def test_different_ids_are_all_added(app: OpenAPI, path: str) -> None:
    answers = add_at_once(app, path, [[f"own_{n}"] for n in range(_NUM_REQUESTS)])

    assert [answer.status_code for answer in answers] == [200] * _NUM_REQUESTS
    assert len(parsed(app.test_client().get(path))["data"]) == _NUM_REQUESTS
