"""Places of queued responses: headers, comments of streams and the object `antiphon`."""

import time
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from openai.types.responses import Response as OfficialResponse
from werkzeug.test import TestResponse

from api.streaming.timings import StreamTimings
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from tests.factories import usage_of
from tests.integration.api.requests import create, fetch, frames, parsed, stream
from tests.integration.conftest import NO_REDIS, MakeWorker, running_app
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.maintenance.forecasts import ForecastPublisher

POSITION, ETA = "Antiphon-Queue-Position", "Antiphon-Queue-Eta"
_HEADERS = (POSITION, ETA)


@pytest.fixture
def stream_timings() -> StreamTimings:
    """Return timings with which the queue is read anew at every look."""
    return StreamTimings(place_s=0.02, queue_s=0.0)


@pytest.fixture
def measured(desk: Desk, forecasts: ForecastPublisher) -> ForecastPublisher:
    """Return a publisher that has seen what a worker does, and that one place is taken."""
    worker = desk.hire()
    desk.create()
    desk.create()
    claimed = desk.claim(worker)
    forecasts.publish()
    assert desk.finish(claimed, usage=usage_of(output_tokens=100))
    desk.claim(worker)
    forecasts.publish()
    return forecasts


def get(http: FlaskClient, response_id: str) -> TestResponse:
    return http.get(f"/v1/responses/{response_id}")


def post(http: FlaskClient) -> TestResponse:
    return http.post("/v1/responses", json={"input": "Hello.", "background": True})


def read_with_place(http: FlaskClient, response_id: str) -> dict[str, Any]:
    """Return a response once its place is known: its creation may be reading the queue as yet."""
    eventually(lambda: POSITION in get(http, response_id).headers)
    return fetch(http, response_id)


def comments(answer: TestResponse) -> Iterator[bytes]:
    """Yield the comments about places of a stream, as they arrive."""
    for frame in frames(answer):
        if frame.startswith(b": queue"):
            yield frame


def test_a_queued_response_has_its_place(http: FlaskClient, measured: ForecastPublisher) -> None:
    ids = [create(http)["id"] for _ in range(3)]
    measured.publish()

    eventually(lambda: get(http, ids[2]).headers.get(POSITION) == "3")
    answers = [get(http, response_id) for response_id in ids]

    places = [parsed(answer)["antiphon"]["queue"] for answer in answers]
    assert [place["position"] for place in places] == [1, 2, 3]
    etas = [place["eta_seconds"] for place in places]
    assert etas == sorted(etas)
    assert etas[2] > etas[0] > 0
    for answer, place in zip(answers, places, strict=True):
        assert answer.headers[POSITION] == str(place["position"])
        assert float(answer.headers[ETA]) == pytest.approx(place["eta_seconds"])


def test_a_new_response_is_told_what_is_known(
    http: FlaskClient, measured: ForecastPublisher
) -> None:
    eventually(lambda: POSITION in post(http).headers)

    answer = post(http)
    assert int(answer.headers[POSITION]) >= 2
    assert "antiphon" not in parsed(answer)


@pytest.mark.usefixtures("measured")
def test_the_official_client_reads_it(http: FlaskClient) -> None:
    found = OfficialResponse.model_validate(read_with_place(http, create(http)["id"]))

    assert found.status == "queued"
    assert found.model_extra is not None
    assert found.model_extra["antiphon"]["queue"]["position"] == 1


@pytest.mark.usefixtures("measured")
def test_lists_and_ended_responses_have_none(http: FlaskClient) -> None:
    made = create(http)
    assert "antiphon" in read_with_place(http, made["id"])

    listed = parsed(http.get("/v1/responses"))["data"]
    cancelled = parsed(http.post(f"/v1/responses/{made['id']}/cancel"))
    ended = get(http, made["id"])

    assert not any("antiphon" in response for response in (*listed, cancelled, parsed(ended)))
    assert not any(name in ended.headers for name in _HEADERS)


@pytest.mark.usefixtures("measured")
def test_one_setting_switches_it_off(settings: Settings, http: FlaskClient) -> None:
    made = create(http)
    with running_app(settings.model_copy(update={"queue_places": False}), StreamTimings()) as app:
        without = get(app.test_client(), made["id"])
        created = post(app.test_client())

    shown = read_with_place(http, made["id"])
    assert shown.pop("antiphon")
    assert parsed(without) == shown
    assert not any(name in answer.headers for name in _HEADERS for answer in (without, created))


def test_nothing_is_told_without_a_forecast(http: FlaskClient) -> None:
    answer = get(http, create(http)["id"])

    assert "antiphon" not in parsed(answer)
    assert POSITION not in answer.headers


def test_it_is_read_without_redis(settings: Settings, desk: Desk) -> None:
    queued = desk.create()
    with running_app(settings.model_copy(update=NO_REDIS), StreamTimings()) as app:
        answer = get(app.test_client(), f"resp_{queued.id.hex}")

    assert parsed(answer)["status"] == "queued"
    assert "antiphon" not in parsed(answer)


def test_there_is_no_time_without_a_worker(http: FlaskClient, forecasts: ForecastPublisher) -> None:
    made = create(http)
    forecasts.publish()
    read_with_place(http, made["id"])

    answer = get(http, made["id"])

    assert parsed(answer)["antiphon"] == {"queue": {"position": 1, "eta_seconds": None}}
    assert ETA not in answer.headers


def test_before_its_time_it_has_no_position(http: FlaskClient, measured: ForecastPublisher) -> None:
    later = create(http, background_options={"not_before": int(time.time()) + 3600})
    measured.publish()

    eventually(lambda: "antiphon" in fetch(http, later["id"]))
    place = fetch(http, later["id"])["antiphon"]["queue"]

    assert place["position"] is None
    assert place["eta_seconds"] == pytest.approx(3600, abs=10)


def test_other_projects_are_ahead_and_unseen(
    http: FlaskClient, desk: Desk, measured: ForecastPublisher, client: redis.Redis
) -> None:
    other = desk.add_project("other", weight=4)
    for _ in range(20):
        desk.create(project_id=other)
    ids = [create(http)["id"] for _ in range(3)]
    measured.publish()

    eventually(lambda: int(get(http, ids[2]).headers.get(POSITION, 0)) > 3)
    answer = get(http, ids[2])

    assert 3 < parsed(answer)["antiphon"]["queue"]["position"] <= 23
    assert set(parsed(answer)["antiphon"]["queue"]) == {"position", "eta_seconds"}
    assert "other" not in answer.text
    # In Redis, a project is named in the name of its own field alone.
    values = client.hvals(f"antiphon:forecast:{SCRIPTED_MODEL}")
    assert values
    assert not any(b"other" in value for value in values)


def test_a_stream_tells_the_place_and_its_changes(
    http: FlaskClient, desk: Desk, measured: ForecastPublisher
) -> None:
    ahead, made = create(http), create(http)
    measured.publish()
    told = comments(stream(http, made["id"]))

    assert next(told).startswith(b": queue position=2 eta=")
    http.post(f"/v1/responses/{ahead['id']}/cancel")

    # Its time may have been told anew before.
    later = next(comment for comment in told if not comment.startswith(b": queue position=2 "))
    assert later.startswith(b": queue position=1 eta=")


@pytest.mark.usefixtures("measured")
def test_a_stream_tells_no_place_once_its_response_has_begun(
    http: FlaskClient, desk: Desk, make_worker: MakeWorker
) -> None:
    desk.lapse_leases()
    desk.sql("DELETE FROM responses WHERE status = 'in_progress'")
    made = create(http)
    told = stream(http, made["id"])
    sent = frames(told)
    before = [*takewhile(lambda frame: not frame.startswith(b": queue"), sent)]
    make_worker()

    after = [frame for frame in sent if frame]

    assert [frame for frame in before if frame.startswith(b"event: response.queued")]
    begun = next(n for n, f in enumerate(after) if f.startswith(b"event: response.in_progress"))
    assert not any(frame.startswith(b": queue") for frame in after[begun:])
