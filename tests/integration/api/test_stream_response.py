import contextlib
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.streaming.timings import StreamTimings
from models.limits.windows import Windows
from models.profile.weights import SCRIPTED_MODEL
from models.recording.finalize import finalize_orphan
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.status import ResponseStatus
from models.streams.event_log import EventLog, events_channel
from models.streams.unstored import UnstoredContents
from tests.factories import say
from tests.integration.api.requests import (
    DONE,
    create,
    create_and_wait,
    error_of,
    event_of,
    events,
    fetch,
    frames,
    parsed,
    stream,
    text_of,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually

_SLOW: dict[str, Any] = {"script_interval_ms": 20, "script_tokens": 40}
_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}


def numbers_of(streamed: list[dict[str, Any]]) -> list[int]:
    return [event["sequence_number"] for event in streamed]


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    body = {"input": "Hello.", "background": True, "stream": True, "max_output_tokens": 2}

    answer = http.post("/v1/responses", json=body)

    assert [event["type"] for event in events(answer)] == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]


def test_events_are_numbered_from_zero_without_gaps(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    streamed = events(stream(http, create(http)["id"]))

    assert numbers_of(streamed) == list(range(len(streamed)))


def test_the_deltas_add_up_to_the_text(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create(http)

    streamed = events(stream(http, response["id"]))

    text = "".join(event.get("delta", "") for event in streamed)
    assert text == text_of(streamed[-1]["response"]) == text_of(fetch(http, response["id"]))


def test_a_foreground_stream_is_not_announced_as_queued(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    streamed = events(http.post("/v1/responses", json={"input": "Hello.", "stream": True}))

    types = [event["type"] for event in streamed[:2]]
    assert types == ["response.created", "response.in_progress"]
    assert streamed[0]["response"]["status"] == "in_progress"


def test_a_replay_is_the_same_to_the_byte_live_from_the_log_and_from_the_archive(
    http: FlaskClient, worker: InProcessWorker, client: redis.Redis
) -> None:
    response = create(http)

    live = list(frames(stream(http, response["id"])))
    from_log = list(frames(stream(http, response["id"])))
    client.flushall()
    from_archive = list(frames(stream(http, response["id"])))

    assert live[-1] == DONE
    assert live == from_log == from_archive


@pytest.mark.parametrize("after", [0, 1, 2, 5, 10])
def test_a_stream_begins_after_the_event_that_the_client_names(
    http: FlaskClient, worker: InProcessWorker, after: int
) -> None:
    response = create_and_wait(http)
    whole = list(frames(stream(http, response["id"])))

    assert list(frames(stream(http, response["id"], after=after))) == whole[after + 1 :]


def test_after_the_last_event_comes_only_the_closing_frame(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = create_and_wait(http)
    last = events(stream(http, response["id"]))[-1]["sequence_number"]

    assert list(frames(stream(http, response["id"], after=last))) == [DONE]


def test_who_knows_of_events_after_the_last_is_told_which_that_is(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = create_and_wait(http)
    last = events(stream(http, response["id"]))[-1]["sequence_number"]

    error, done = frames(stream(http, response["id"], after=last + 1))

    assert event_of(error)["error"]["code"] == "events_lost"
    assert f"event {last};" in event_of(error)["error"]["message"]
    assert done == DONE


def test_a_dropped_stream_is_resumed_with_exactly_the_rest(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_SLOW)
    response = create(http)
    dropped = stream(http, response["id"])
    seen = list(islice(frames(dropped), 6))
    dropped.close()

    last_seen = event_of(seen[-1])["sequence_number"]
    rest = list(frames(stream(http, response["id"], after=last_seen)))

    assert [*seen, *rest] == list(frames(stream(http, response["id"])))


def test_several_streams_of_a_response_see_the_same(
    app: OpenAPI, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_SLOW)
    response = create(http)

    with ThreadPoolExecutor(4) as readers:
        reads = [
            readers.submit(lambda: list(frames(stream(app.test_client(), response["id"]))))
            for _ in range(4)
        ]
        seen = [read.result() for read in reads]

    assert seen[0][-1] == DONE
    assert seen.count(seen[0]) == 4


def test_a_stream_ends_when_its_response_is_cancelled(
    app: OpenAPI, http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS)
    response = create(http)
    answer = stream(app.test_client(), response["id"])
    streamed = frames(answer)
    first = list(islice(streamed, 6))

    http.post(f"/v1/responses/{response['id']}/cancel")
    *rest, done = streamed

    last = event_of(rest[-1])
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
    assert done == DONE
    assert [event_of(frame)["sequence_number"] for frame in [*first, *rest]] == list(
        range(len(first) + len(rest))
    )


def test_a_stream_ends_with_an_error_when_its_response_is_deleted(
    app: OpenAPI, http: FlaskClient, desk: Desk
) -> None:
    response = create(http)
    desk.claim()  # a queued one would end as cancelled first
    streamed = frames(stream(app.test_client(), response["id"]))
    opened = list(islice(streamed, 2))

    http.delete(f"/v1/responses/{response['id']}")
    *_, error, done = [*opened, *streamed]

    assert event_of(error)["type"] == "error"
    assert event_of(error)["error"]["code"] == "response_not_found"
    assert done == DONE


def test_a_stream_of_a_failed_response_ends_with_its_error(http: FlaskClient, desk: Desk) -> None:
    response = create(http)
    error = {"code": "server_error", "message": "It broke."}
    desk.fail(desk.claim(), error)

    last = events(stream(http, response["id"]))[-1]

    assert last["type"] == "response.failed"
    assert last["response"]["error"] == error


def test_an_end_that_was_never_published_is_found_in_the_store(
    http: FlaskClient, desk: Desk
) -> None:
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    opened = list(islice(streamed, 2))

    desk.fail(desk.claim(), {"code": "server_error", "message": "Nobody heard of it."})
    *_, last, done = [*opened, *streamed]

    assert event_of(last)["type"] == "response.failed"
    assert done == DONE


def test_a_stream_goes_on_when_redis_loses_everything_midway(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    make_worker(**_SLOW)
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    first = list(islice(streamed, 6))

    client.flushall()
    seen = [*first, *streamed]

    assert seen == list(frames(stream(http, response["id"])))


def test_a_stream_that_has_shown_more_than_its_end_knows_of_says_so(
    http: FlaskClient, desk: Desk, log: EventLog, client: redis.Redis
) -> None:
    response = create(http)
    worker = Recorder(desk.claim(), log)
    worker.begin()
    say(worker, "lost with worker and Redis", [1])
    worker.flush()
    streamed = frames(stream(http, response["id"]))
    shown = list(islice(streamed, 6))

    client.flushall()
    cause = EndingCause(status=ResponseStatus.CANCELLED)
    assert finalize_orphan(
        desk.store, log, UnstoredContents(client), Windows(client), worker.record, cause
    )
    *_, error, done = [*shown, *streamed]

    assert event_of(error)["error"]["code"] == "events_lost"
    assert done == DONE
    error, done = frames(stream(http, response["id"], after=5))
    assert event_of(error)["error"]["code"] == "events_lost"
    assert done == DONE


def test_a_foreground_request_gets_an_end_that_does_not_follow_on_its_events(
    app: OpenAPI, http: FlaskClient, desk: Desk, log: EventLog, client: redis.Redis
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(app.test_client().post, "/v1/responses", json={"input": "Hello."})
        claimed = eventually(lambda: desk.store.claims.claim(desk.hire().id, SCRIPTED_MODEL))
        channel = events_channel(claimed.id)
        eventually(lambda: dict(client.pubsub_numsub(channel))[channel.encode()])
        worker = Recorder(claimed, log)
        worker.begin()
        say(worker, "lost with worker and Redis", [1])
        worker.flush()

        client.flushall()
        cause = EndingCause(status=ResponseStatus.CANCELLED)
        assert finalize_orphan(
            desk.store, log, UnstoredContents(client), Windows(client), claimed, cause
        )

        answer = waiting.result()

    assert answer.status_code == 200, answer.text
    assert parsed(answer)["status"] == "cancelled"


def test_a_stream_catches_up_when_its_subscription_was_cut(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    make_worker(**_SLOW)
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    first = list(islice(streamed, 6))

    client.client_kill_filter(_type="pubsub")
    seen = [*first, *streamed]

    assert seen == list(frames(stream(http, response["id"])))


@pytest.mark.parametrize("stream_timings", [StreamTimings(keep_alive_s=0.05)])
def test_a_quiet_stream_is_kept_alive(http: FlaskClient) -> None:
    answer = stream(http, create(http)["id"])

    seen = list(islice(frames(answer), 4))
    answer.close()

    assert seen[2:] == [b": keep-alive\n\n"] * 2


def test_a_background_response_goes_on_without_its_client(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_SLOW)
    body = {"input": "Hello.", "background": True, "stream": True}
    answer = http.post("/v1/responses", json=body)
    [created] = map(event_of, islice(frames(answer), 1))

    answer.close()

    assert wait_for_end(http, created["response"]["id"])["status"] == "completed"


def test_a_foreground_response_is_cancelled_when_its_client_goes(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS)
    answer = http.post("/v1/responses", json={"input": "Hello.", "stream": True})
    [created] = map(event_of, islice(frames(answer), 1))
    response_id = created["response"]["id"]
    wait_for_text(http, response_id)

    answer.close()

    assert wait_for_end(http, response_id)["status"] == "cancelled"


def test_a_server_full_of_streams_refuses_more_and_takes_other_requests(
    app: OpenAPI, http: FlaskClient
) -> None:
    places = app.extensions["antiphon"].places
    response = create(http)

    with contextlib.ExitStack() as taken:
        for _ in range(24):
            taken.enter_context(places.reserve("other", "other"))
        refused = stream(http, response["id"])
        assert fetch(http, response["id"])["status"] == "queued"

    assert refused.status_code == 503
    assert error_of(refused)["code"] == "server_overloaded"
    assert refused.headers["Retry-After"]


@pytest.mark.parametrize("is_stream", [True, False])
def test_nothing_runs_for_a_client_that_was_refused_a_place(
    app: OpenAPI, http: FlaskClient, is_stream: bool
) -> None:
    places = app.extensions["antiphon"].places

    with contextlib.ExitStack() as taken:
        for _ in range(24):
            taken.enter_context(places.reserve("other", "other"))
        refused = http.post("/v1/responses", json={"input": "Hello.", "stream": is_stream})

    assert refused.status_code == 503
    [response] = parsed(http.get("/v1/responses"))["data"]
    assert response["status"] == "cancelled"


def test_a_stream_that_ends_gives_its_place_back(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = create_and_wait(http)

    for _ in range(30):
        assert events(stream(http, response["id"]))


@pytest.mark.parametrize("value", ["-1", "x", "1.5"])
def test_a_place_that_cannot_be_is_refused(http: FlaskClient, value: str) -> None:
    response = create(http)

    answer = http.get(f"/v1/responses/{response['id']}?stream=true&starting_after={value}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "starting_after"


def test_a_long_archive_is_sent_whole_from_any_event(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(script_tokens=1500, script_interval_ms=0)
    response = create_and_wait(http)

    whole = events(stream(http, response["id"]))

    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole[-1]["type"] == "response.completed"
    assert events(stream(http, response["id"], after=700)) == whole[701:]
    assert events(stream(http, response["id"], after=len(whole) - 2)) == whole[-1:]
    [error] = events(stream(http, response["id"], after=len(whole) + 9))
    assert error["error"]["code"] == "events_lost"
