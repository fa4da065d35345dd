"""`store: false`: the output is delivered, and neither it nor the input is stored."""

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api.streaming.tail import Tail
from api.streaming.timings import StreamTimings
from models.errors import UnavailableError
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.streams.event_log import EventLog, LoggedEvent
from models.streams.unstored import UnstoredContents
from tests.integration.api.requests import (
    create_and_wait,
    error_of,
    event_of,
    events,
    frames,
    parsed,
    text_of,
)
from tests.integration.conftest import NO_DATABASE, MakeWorker, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.traces import keys_that_mention, rows_that_mention
from tests.polling import eventually
from worker.generation import runner
from worker.generation.load_input import load_input

_MARKER = "swordfish"
_ANSWER = "no model has read"
_BODY: dict[str, Any] = {
    "input": [{"role": "user", "content": f"The password is {_MARKER}."}],
    "instructions": f"Never say {_MARKER}.",
    "metadata": {_MARKER: _MARKER},
    "stop": [_MARKER],
    "prompt_cache_key": _MARKER,
    "safety_identifier": _MARKER,
    "store": False,
}
_SLOW: dict[str, Any] = {"script_interval_ms": 20, "script_tokens": 100}
_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}


def ask(http: FlaskClient, **more: Any) -> dict[str, Any]:
    """Create a response; return its object, streamed or not."""
    answer = http.post("/v1/responses", json=_BODY | more)
    assert answer.status_code == 200, answer.text
    if not more.get("stream"):
        return parsed(answer)
    response: dict[str, Any] = events(answer)[-1]["response"]
    return response


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    response = ask(http)

    assert (response["status"], response["store"]) == ("completed", False)
    assert response["instructions"] == _BODY["instructions"]
    assert response["metadata"] == _BODY["metadata"]
    assert _ANSWER in text_of(response)


def test_its_events_are_those_of_any_other(http: FlaskClient, worker: InProcessWorker) -> None:
    unstored, stored = (
        events(http.post("/v1/responses", json=_BODY | {"stream": True, "store": store}))
        for store in (False, True)
    )

    assert [event["type"] for event in unstored] == [event["type"] for event in stored]
    assert [event.get("delta") for event in unstored] == [event.get("delta") for event in stored]


@pytest.mark.parametrize("stream", [False, True])
def test_a_finished_one_has_left_nothing_in_postgres(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql, stream: bool
) -> None:
    ask(http, stream=stream)

    assert sql("SELECT status FROM responses") == [("completed",)]
    assert rows_that_mention(sql, _MARKER) == []
    assert rows_that_mention(sql, _ANSWER) == []
    assert sql("SELECT count(*) FROM event_archives") == [(0,)]


def test_a_queued_one_has_nothing_in_postgres(http: FlaskClient, sql: RunSql) -> None:
    answer = http.post("/v1/responses", json=_BODY | {"stream": True})

    assert sql("SELECT status FROM responses") == [("queued",)]
    assert rows_that_mention(sql, _MARKER) == []
    answer.close()


def test_a_running_one_has_nothing_in_postgres(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(**_SLOW)
    streamed = frames(http.post("/v1/responses", json=_BODY | {"stream": True}))
    next(frame for frame in streamed if b"delta" in frame)

    assert sql("SELECT status FROM responses") == [("in_progress",)]
    assert rows_that_mention(sql, _MARKER) == []
    assert list(streamed)


def test_the_scan_would_find_what_is_stored(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql, client: redis.Redis
) -> None:
    ask(http, store=True)

    # The tables are partitioned by month.
    tables = {table.split("_")[0] for table, _ in rows_that_mention(sql, _MARKER)}
    assert tables == {"responses", "items"}
    assert rows_that_mention(sql, _ANSWER)
    assert keys_that_mention(client, _MARKER)


@pytest.mark.parametrize("stream", [False, True])
def test_a_delivered_one_has_left_nothing_in_valkey(
    http: FlaskClient, worker: InProcessWorker, client: redis.Redis, stream: bool
) -> None:
    response = ask(http, stream=stream)

    worker.wait_idle()
    needles = (response["id"].removeprefix("resp_"), _MARKER, _ANSWER)
    # A thread deletes them after the last event is sent.
    eventually(lambda: not any(keys_that_mention(client, needle) for needle in needles))


def test_one_whose_client_has_gone_leaves_nothing_in_valkey(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    worker = make_worker(**_ENDLESS)
    answer = http.post("/v1/responses", json=_BODY | {"stream": True})
    next(frame for frame in frames(answer) if b"delta" in frame)

    answer.close()

    worker.wait_idle()
    assert keys_that_mention(client, _MARKER) == []


def test_one_whose_client_has_gone_is_cancelled(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(**_ENDLESS)
    answer = http.post("/v1/responses", json=_BODY | {"stream": True})
    next(frame for frame in frames(answer) if b"delta" in frame)

    answer.close()

    eventually(lambda: sql("SELECT status FROM responses") == [("cancelled",)])


def test_one_whose_client_leaves_just_after_it_was_claimed_is_cancelled(
    http: FlaskClient,
    make_worker: MakeWorker,
    client: redis.Redis,
    sql: RunSql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = http.post("/v1/responses", json=_BODY | {"stream": True})
    next(frames(answer))

    def load_once_the_client_has_gone(*arguments: Any) -> Any:
        answer.close()
        eventually(lambda: sql("SELECT content_key FROM responses") == [(None,)])
        return load_input(*arguments)

    monkeypatch.setattr(runner, "load_input", load_once_the_client_has_gone)

    make_worker().run_queued().result()

    assert sql("SELECT status, error FROM responses") == [("cancelled", None)]
    assert client.keys("antiphon:log:*") == []


@pytest.mark.parametrize("is_streamed", [True, False])
def test_one_that_an_error_keeps_from_its_client_is_cancelled(
    http: FlaskClient,
    make_worker: MakeWorker,
    sql: RunSql,
    monkeypatch: pytest.MonkeyPatch,
    is_streamed: bool,
) -> None:
    async def fail(*_: object) -> list[LoggedEvent]:
        raise UnavailableError

    monkeypatch.setattr(Tail, "_receive", fail)
    make_worker(**_ENDLESS)

    answer = http.post("/v1/responses", json=_BODY | {"stream": is_streamed})

    assert "service_unavailable" in answer.text
    eventually(lambda: sql("SELECT status FROM responses") == [("cancelled",)])


def test_one_that_was_refused_leaves_nothing_in_valkey(
    settings: Settings, client: redis.Redis
) -> None:
    with running_app(settings.model_copy(update=NO_DATABASE)) as cut_off:
        answer = cut_off.test_client().post("/v1/responses", json=_BODY)

    assert answer.status_code == 503
    assert keys_that_mention(client, _MARKER) == []


@pytest.mark.parametrize("stream_timings", [StreamTimings(watch_s=0.02)])
def test_an_answer_that_was_committed_before_it_was_published_is_waited_for(
    http: FlaskClient, desk: Desk, log: EventLog
) -> None:
    streamed = frames(http.post("/v1/responses", json=_BODY | {"stream": True}))
    recorder = Recorder(desk.claim(), log)
    recorder.begin()
    ending = recorder.finish(EndingCause(status=ResponseStatus.COMPLETED))

    with ThreadPoolExecutor() as threads:
        reader = threads.submit(list, streamed)
        assert desk.store.finisher.finish(recorder.record, ending)
        wait([reader], timeout=0.3)  # Long enough for the API to notice the end in the database.
        recorder.publish_end()

    *_, last, _done = reader.result()
    assert event_of(last)["type"] == "response.completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "/input_items"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_no_route_finds_it_afterwards(
    http: FlaskClient, worker: InProcessWorker, method: str, path: str
) -> None:
    response = ask(http)

    answer = http.open(f"/v1/responses/{response['id']}{path}", method=method)

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "response_not_found"


def test_no_route_finds_it_while_it_is_running(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**_ENDLESS)
    answer = http.post("/v1/responses", json=_BODY | {"stream": True})
    created = event_of(next(frames(answer)))

    found = http.get(f"/v1/responses/{created['response']['id']}")

    answer.close()
    assert found.status_code == 404


def test_it_cannot_be_continued(http: FlaskClient, worker: InProcessWorker) -> None:
    response = ask(http)

    body = {"input": "And?", "previous_response_id": response["id"]}
    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "previous_response_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_it_can_continue_a_stored_one(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql, stream: bool
) -> None:
    first = create_and_wait(http, input="One.")

    second = ask(http, previous_response_id=first["id"], stream=stream)

    lines = [_BODY["instructions"], "One.", text_of(first), _BODY["input"][0]["content"]]
    assert second["usage"]["input_tokens"] == len("\n".join(lines))
    assert second["previous_response_id"] == first["id"]
    assert rows_that_mention(sql, _MARKER) == []


def test_what_it_said_is_no_part_of_the_chain(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http, input="One.")
    ask(http, previous_response_id=first["id"])

    third = create_and_wait(http, input="Three.", previous_response_id=first["id"])

    assert third["usage"]["input_tokens"] == len(f"One.\n{text_of(first)}\nThree.")


def test_its_answer_is_delivered_when_valkey_is_out_of_reach_by_then(
    http: FlaskClient, worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(UnstoredContents, "forget", fail)

    assert ask(http)["status"] == "completed"
