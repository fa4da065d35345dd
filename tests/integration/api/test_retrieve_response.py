"""GET /v1/responses/{id}: the object in its current state, or its events."""

from itertools import islice
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from api.streaming.timings import StreamTimings
from models.ids import new_id, response_wire_id
from models.settings import Settings
from models.store.responses import Responses
from tests.factories import output_message
from tests.integration.api.requests import (
    DONE,
    create,
    create_and_wait,
    error_of,
    event_of,
    fetch,
    frames,
    stream,
    text_of,
    wait_for_end,
)
from tests.integration.conftest import running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create(http)

    finished = wait_for_end(http, response["id"])

    assert finished["id"] == response["id"]
    assert finished["status"] == "completed"
    assert text_of(finished).startswith("This answer is scripted")


def test_a_queued_response_is_what_its_creation_answered(http: FlaskClient) -> None:
    response = create(http, metadata={"a": "b"})

    assert fetch(http, response["id"]) == response


def test_a_running_response_has_no_output_yet(http: FlaskClient, desk: Desk) -> None:
    response = create(http)
    desk.claim()

    running = fetch(http, response["id"])

    assert running == response | {"status": "in_progress"}


def test_a_failed_response_says_why(http: FlaskClient, desk: Desk) -> None:
    response = create(http)
    error = {"code": "server_error", "message": "It broke."}
    desk.fail(desk.claim(), error)

    failed = fetch(http, response["id"])

    assert (failed["status"], failed["error"]) == ("failed", error)
    assert failed["completed_at"] is None


def test_the_output_comes_in_the_order_it_was_written(http: FlaskClient, desk: Desk) -> None:
    claimed = desk.running()
    texts = ["one", "two", "three"]
    desk.finish(claimed, output=[output_message(claimed.id, text) for text in texts])

    response = fetch(http, response_wire_id(claimed.id))

    assert [item["content"][0]["text"] for item in response["output"]] == texts


def test_every_server_process_knows_every_response(http: FlaskClient, settings: Settings) -> None:
    response = create(http)

    with running_app(settings) as other:
        assert fetch(other.test_client(), response["id"]) == response


@pytest.mark.parametrize(
    "wire_id",
    [response_wire_id(new_id()), "resp_x", new_id().hex, f"resp_{new_id()}", "RESP_1", "%00"],
)
def test_an_unknown_id_is_not_found(http: FlaskClient, wire_id: str) -> None:
    answer = http.get(f"/v1/responses/{wire_id}")

    assert answer.status_code == 404
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("response_not_found", "response_id")


@pytest.mark.parametrize("query", ["", "?stream=true"])
def test_a_response_of_another_project_is_not_found(
    http: FlaskClient, desk: Desk, query: str
) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))

    answer = http.get(f"/v1/responses/{response_wire_id(foreign.id)}{query}")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("starting_after=1", "invalid_value", "starting_after"),
        ("stream=perhaps", "invalid_value", "stream"),
        ("colour=red", "unknown_parameter", "colour"),
    ],
)
def test_a_query_that_cannot_be_followed_is_refused(
    http: FlaskClient, query: str, code: str, param: str
) -> None:
    response = create(http)

    answer = http.get(f"/v1/responses/{response['id']}?{query}")

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("stream_timings", [StreamTimings(keep_alive_s=0.02, watch_s=0.05)])
def test_a_stream_from_beyond_the_end_closes_when_the_response_ends(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = create(http)
    answer = stream(http, response["id"], after=1000)
    create_and_wait(http)

    seen = list(islice(frames(answer), 60))
    answer.close()

    assert seen[-1] == DONE


def test_a_stream_of_what_is_deleted_meanwhile_says_that_it_is_not_found(
    http: FlaskClient, worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = create_and_wait(http)

    def archived_events(responses: Responses, project_id: str, response_id: UUID) -> None:
        responses.delete(project_id, response_id)

    monkeypatch.setattr(Responses, "archived_events", archived_events)

    *_, last, _done = frames(stream(http, response["id"]))

    assert event_of(last)["error"]["code"] == "response_not_found"
