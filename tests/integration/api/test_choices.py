"""`n`: several choices of one request, read whole and streamed, resumed and cancelled."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import (
    cancel,
    create,
    create_and_wait,
    event_of,
    events,
    frames,
    stream,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

_TOKENS = 100  # three seconds of the slow worker's, so that its lease is surely lost midway
_SLOW: dict[str, Any] = {"script_interval_ms": 30, "script_tokens": _TOKENS}
_FAST: dict[str, Any] = {"script_interval_ms": 1, "script_tokens": 20}


def texts_of(response: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in response["output"]]


def test_it_works(http: FlaskClient, worker: InProcessWorker, settings: Settings) -> None:
    response = create_and_wait(http, n=3)

    assert response["status"] == "completed"
    assert len(response["output"]) == len({item["id"] for item in response["output"]}) == 3
    assert len(set(texts_of(response))) == 1  # the script is the same for every choice
    usage = response["usage"]
    assert usage["output_tokens"] == 3 * settings.script_tokens
    assert usage["input_tokens"] == len(b"Hello.")


def test_choices_are_streamed_side_by_side(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**_FAST)
    answer = http.post("/v1/responses", json={"input": "Hello.", "n": 2, "stream": True})

    found = events(answer)

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    deltas = [event for event in found if event["type"] == "response.output_text.delta"]
    assert [event["output_index"] for event in deltas[:4]] == [0, 1, 0, 1]
    for index, item in enumerate(found[-1]["response"]["output"]):
        own = [event["delta"] for event in deltas if event["output_index"] == index]
        assert "".join(own) == item["content"][0]["text"]
        assert {event["item_id"] for event in deltas if event["output_index"] == index} == {
            item["id"]
        }


def test_a_later_turn_goes_on_from_the_first(http: FlaskClient, worker: InProcessWorker) -> None:
    one, several = (create_and_wait(http, n=n, max_output_tokens=4) for n in (1, 3))

    turns = [
        create_and_wait(http, input="Go on.", previous_response_id=previous["id"])
        for previous in (one, several)
    ]

    assert turns[0]["usage"]["input_tokens"] == turns[1]["usage"]["input_tokens"]


def test_a_limit_cuts_every_choice(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http, n=2, max_output_tokens=4)

    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["incomplete"] * 2
    assert response["usage"]["output_tokens"] == 8


def test_a_stop_string_ends_every_choice(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http, n=2, stop=" scripted")

    assert texts_of(response) == ["This answer is"] * 2
    assert response["status"] == "completed"


def test_a_cancel_ends_all(http: FlaskClient, make_worker: MakeWorker) -> None:
    worker = make_worker(script_interval_ms=20, script_tokens=10_000)
    response = create(http, n=3)
    wait_for_deltas(http, response["id"], 6)

    cancel(http, response["id"])

    ended = wait_for_end(http, response["id"])
    worker.wait_idle()
    assert ended["status"] == "cancelled"
    assert [item["status"] for item in ended["output"]] == ["incomplete"] * 3


@pytest.mark.parametrize("n", [2, 16])
def test_each_choice_goes_on_where_a_lost_worker_left_it(
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
    n: int,
) -> None:
    make_worker(**_SLOW, timings=unaware_timings)
    response = create(http, n=n)
    seen = wait_for_deltas(http, response["id"], 3 * n)
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker(script_tokens=_TOKENS).run_queued().result()

    ended = wait_for_end(http, response["id"])
    assert ended["status"] == "completed"
    assert ended["usage"]["output_tokens"] == _TOKENS * n
    assert len(set(texts_of(ended))) == 1
    replayed = events(stream(http, response["id"]))
    assert replayed[: len(seen)] == seen
    for index, text in enumerate(texts_of(ended)):
        deltas = [
            event["delta"]
            for event in replayed
            if event["type"] == "response.output_text.delta" and event["output_index"] == index
        ]
        assert "".join(deltas) == text


def wait_for_deltas(http: FlaskClient, response_id: str, count: int) -> list[dict[str, Any]]:
    """Wait for a number of deltas; return the events up to the last of them."""
    answer = stream(http, response_id)
    seen: list[dict[str, Any]] = []
    for frame in frames(answer):
        seen.append(event_of(frame))
        if sum(event["type"] == "response.output_text.delta" for event in seen) == count:
            break
    answer.close()
    return seen
