"""A turn never goes on without a part of its chain: it is refused, with the id (finding C3)."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.ids import parse_response_id
from models.store import items
from tests.integration.api.requests import create, create_and_wait, error_of, parsed, wait_for_end
from tests.integration.conftest import MakeWorker, RunSql


def chain_of(http: FlaskClient, num_turns: int) -> list[str]:
    """Create a chain of responses; return their ids, the oldest first."""
    ids: list[str] = []
    for number in range(num_turns):
        previous = {"previous_response_id": ids[-1]} if ids else {}
        ids.append(create_and_wait(http, input=f"Turn {number}.", **previous)["id"])
    return ids


def refusal(http: FlaskClient, previous: str, **fields: Any) -> dict[str, Any]:
    body = {"input": "a", "background": True, "previous_response_id": previous, **fields}
    answer = http.post("/v1/responses", json=body)
    assert answer.status_code == 404, answer.text
    return error_of(answer)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("position", [0, 1])
def test_a_deleted_ancestor_is_named(http: FlaskClient, position: int) -> None:
    ids = chain_of(http, 3)
    http.delete(f"/v1/responses/{ids[position]}")

    error = refusal(http, ids[-1])

    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"
    assert f"'{ids[position]}'" in error["message"]


@pytest.mark.usefixtures("worker")
def test_so_is_an_expired_one(http: FlaskClient, sql: RunSql) -> None:
    ids = chain_of(http, 3)
    sql("DELETE FROM responses WHERE id = %s", parse_response_id(ids[0]))

    assert ids[0] in refusal(http, ids[-1], store=False, background=False)["message"]
    counted = http.post(
        "/v1/responses/input_tokens", json={"input": "a", "previous_response_id": ids[-1]}
    )
    assert counted.status_code == 404
    compacted = http.post(
        "/v1/responses/compact", json={"model": "scripted", "previous_response_id": ids[-1]}
    )
    assert ids[0] in error_of(compacted)["message"]


@pytest.mark.usefixtures("worker")
def test_turns_before_the_missing_one_can_be_continued(http: FlaskClient) -> None:
    ids = chain_of(http, 3)
    http.delete(f"/v1/responses/{ids[1]}")

    assert create_and_wait(http, previous_response_id=ids[0])["status"] == "completed"


def test_a_turn_that_waits_while_its_chain_breaks_fails_with_the_id(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    ids = chain_of(http, 2)
    worker.drain()
    waiting = create(http, previous_response_id=ids[-1])
    http.delete(f"/v1/responses/{ids[0]}")

    make_worker()
    ended = wait_for_end(http, waiting["id"])

    assert ended["status"] == "failed"
    assert ids[0] in ended["error"]["message"]


@pytest.mark.usefixtures("worker")
def test_a_chain_that_is_too_long_is_not_shortened(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = chain_of(http, 3)
    monkeypatch.setattr(items, "MAX_CHAIN", 2)

    error = refusal(http, ids[-1])

    assert "more than 2 responses" in error["message"]
    assert ids[0] in error["message"]


@pytest.mark.usefixtures("worker")
def test_whole_chains_are_read_whole(http: FlaskClient) -> None:
    ids = chain_of(http, 3)

    body = {"input": "a", "previous_response_id": ids[-1]}
    counted = parsed(http.post("/v1/responses/input_tokens", json=body))
    short = parsed(http.post("/v1/responses/input_tokens", json={"input": "a"}))

    assert counted["input_tokens"] > 3 * short["input_tokens"]
