"""What operators do with responses: cancel, run again, delete; and who may not."""

from typing import Any

import pytest

from models.responses.status import ResponseStatus
from models.store.store import Store
from tests.integration.api.requests import create, fetch, parsed, wait_for_end
from tests.integration.dashboard.conftest import LOOKS, SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk

LIST = "/dashboard/responses"


def actions_of(store: Store) -> list[tuple[str, str, str]]:
    listed = store.audit.list_entries(limit=10)
    return [(entry.action, entry.object, entry.result) for entry in reversed(listed)]


def test_a_queued_response_is_cancelled(visitor: Visitor, store: Store) -> None:
    response_id = create(visitor.http)["id"]
    assert "/cancel" in visitor.page(f"{LIST}/{response_id}")

    answer = visitor.send(f"{LIST}/{response_id}/cancel")

    assert (answer.status_code, answer.location) == (303, f"{LIST}/{response_id}")
    assert fetch(visitor.http, response_id)["status"] == "cancelled"
    assert "/cancel" not in visitor.page(f"{LIST}/{response_id}")
    assert actions_of(store) == [("response.cancel", response_id, "ok")]


def test_a_running_response_is_asked_to_end(visitor: Visitor, desk: Desk) -> None:
    running = desk.running()

    visitor.send(f"{LIST}/resp_{running.id.hex}/cancel")

    assert "cancel requested" in visitor.page(f"{LIST}/resp_{running.id.hex}")


def test_a_response_in_the_foreground_is_left_to_its_client(visitor: Visitor, desk: Desk) -> None:
    running = desk.running(background=False)

    answer = visitor.send(f"{LIST}/resp_{running.id.hex}/cancel")

    assert answer.status_code == 400
    assert "only that can end it" in answer.text


def test_a_response_is_deleted(visitor: Visitor, store: Store) -> None:
    response_id = create(visitor.http)["id"]

    answer = visitor.send(f"{LIST}/{response_id}/delete")

    assert (answer.status_code, answer.location) == (303, LIST)
    assert visitor.open(f"{LIST}/{response_id}").status_code == 404
    assert visitor.send(f"{LIST}/{response_id}/delete").status_code == 404
    assert actions_of(store)[0] == ("response.delete", response_id, "ok")


REQUESTS: list[dict[str, Any]] = [
    {"input": "Hello.", "temperature": 0.3, "metadata": {"team": "blue"}, "instructions": "Be."},
    {"input": [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]},
    {"input": "A.", "text": {"verbosity": "low"}},
    {"input": "A.", "tools": [{"type": "function", "name": "f", "parameters": {}}], "n": 2,
     "tool_choice": "none", "stop": ["x"], "logit_bias": {"5": 1.5}, "seed": 3},
    {"input": "A.", "reasoning": {"effort": "low"}, "service_tier": "flex", "user": "me",
     "include": ["message.output_text.logprobs"], "truncation": "auto"},
    {"input": "Not kept.", "store": False},
]  # fmt: skip
_SAME = (
    "model", "instructions", "temperature", "metadata", "text", "tools", "tool_choice", "store",
    "reasoning", "truncation", "user", "background", "top_logprobs",
)  # fmt: skip


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("request_body", REQUESTS)
def test_a_request_is_run_again(visitor: Visitor, request_body: dict[str, Any]) -> None:
    first = wait_for_end(visitor.http, create(visitor.http, **request_body)["id"])

    answer = visitor.send(f"{LIST}/{first['id']}/retry")

    assert answer.status_code == 303, answer.text
    second = wait_for_end(visitor.http, answer.location.rpartition("/")[2])
    assert second["id"] != first["id"]
    assert {name: second.get(name) for name in _SAME} == {name: first.get(name) for name in _SAME}
    assert second["status"] == first["status"]


def test_a_turn_is_run_again_after_what_it_followed(visitor: Visitor, desk: Desk) -> None:
    first = desk.running()
    desk.finish(first)
    turn = create(visitor.http, previous_response_id=f"resp_{first.id.hex}", stream=False)

    location = visitor.send(f"{LIST}/{turn['id']}/retry").location

    again = fetch(visitor.http, location.rpartition("/")[2])
    assert again["previous_response_id"] == f"resp_{first.id.hex}"


def test_options_of_a_stream_are_left_out(visitor: Visitor) -> None:
    answer = visitor.http.post(
        "/v1/responses",
        json={"input": "A.", "background": True, "stream": True,
              "stream_options": {"include_usage": False}},
        buffered=False,
    )  # fmt: skip
    [first, *_] = next(iter(answer.iter_encoded())).decode().splitlines()[1:]
    response_id = first.partition('"id":"')[2].partition('"')[0]

    assert visitor.send(f"{LIST}/{response_id}/retry").status_code == 303


def test_the_audit_trail_names_the_new_response(visitor: Visitor, store: Store) -> None:
    response_id = create(visitor.http)["id"]

    new_id = visitor.send(f"{LIST}/{response_id}/retry").location.rpartition("/")[2]

    assert actions_of(store) == [("response.retry", new_id, "ok")]


@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_who_only_looks_changes_nothing(
    sign_in: SignIn, desk: Desk, store: Store, action: str
) -> None:
    response = desk.create()
    visitor = sign_in(LOOKS)
    path = f"{LIST}/resp_{response.id.hex}"
    assert "/cancel" not in visitor.page(path)

    answer = visitor.http.post(f"{path}/{action}", headers={"X-CSRF-Token": visitor.token(LIST)})

    assert answer.status_code == 403
    assert parsed(answer)["error"]["code"] == "insufficient_permissions"
    assert desk.status(response) is ResponseStatus.QUEUED


@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_nothing_happens_to_responses_of_other_projects(
    sign_in: SignIn, desk: Desk, action: str
) -> None:
    response = desk.create()
    desk.add_project("mine")
    visitor = sign_in(project_id="mine")

    answer = visitor.http.post(
        f"{LIST}/resp_{response.id.hex}/{action}", headers={"X-CSRF-Token": visitor.token(LIST)}
    )

    assert answer.status_code == 404
    assert desk.status(response) is ResponseStatus.QUEUED
