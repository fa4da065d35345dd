"""One response in the worker, from its claim to its end."""

from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.encryption.response import ResponseCipher, new_content_key
from models.errors import UnavailableError
from models.ids import response_wire_id
from models.responses.status import ResponseStatus
from models.store.items import Items
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContent, UnstoredContents
from tests.factories import input_message, stored_response
from tests.integration.api.requests import (
    DONE,
    create,
    create_and_wait,
    event_of,
    events,
    fetch,
    frames,
    stream,
    text_of,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from worker.engine.interface import GenerationRequest


def test_it_works(http: FlaskClient, worker: InProcessWorker, desk: Desk) -> None:
    queued = desk.create()

    worker.run_queued().result()

    response = fetch(http, response_wire_id(queued.id))
    assert response["status"] == "completed"
    assert text_of(response).startswith("This answer is scripted")


def test_a_task_without_work_does_nothing(worker: InProcessWorker, sql: RunSql) -> None:
    worker.run_queued().result()

    assert sql("SELECT count(*) FROM responses") == [(0,)]


def test_responses_run_side_by_side(make_worker: MakeWorker, desk: Desk, sql: RunSql) -> None:
    worker = make_worker(script_interval_ms=20, script_tokens=100)
    for _ in range(5):
        desk.create()

    tasks = [worker.run_queued() for _ in range(5)]

    for task in tasks:
        task.result()
    assert sql("SELECT max(started_at) < min(finished_at) FROM responses") == [(True,)]
    assert sql("SELECT DISTINCT status FROM responses") == [("completed",)]


@pytest.fixture
def silent_worker(worker: InProcessWorker, sql: RunSql) -> InProcessWorker:
    """Return a worker that does not publish what it can do, as those of an earlier release."""
    sql("UPDATE workers SET capabilities = NULL")
    return worker


@pytest.mark.usefixtures("silent_worker")
def test_a_response_that_the_engine_refuses_is_failed_with_the_reason(http: FlaskClient) -> None:
    response = create_and_wait(http, input="a" * 140_000)

    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"
    assert "140000 tokens" in response["error"]["message"]
    assert response["output"] == []


@pytest.mark.usefixtures("silent_worker")
def test_the_stream_of_a_refused_response_ends(http: FlaskClient) -> None:
    response = create(http, input="a" * 140_000)

    streamed = events(stream(http, response["id"]))

    assert streamed[-1]["type"] == "response.failed"
    assert streamed[-1]["response"] == fetch(http, response["id"])


@pytest.mark.usefixtures("silent_worker")
def test_a_worker_goes_on_after_its_engine_refused(http: FlaskClient) -> None:
    create_and_wait(http, input="a" * 140_000)

    assert create_and_wait(http)["status"] == "completed"


def test_a_response_whose_content_is_lost_is_failed_with_the_reason(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    body = {"input": "Hello.", "store": False, "stream": True}
    streamed = frames(http.post("/v1/responses", json=body))
    next(streamed)
    client.flushall()

    make_worker().run_queued().result()
    *_, last, done = streamed

    assert event_of(last)["type"] == "response.failed"
    assert "send it again" in event_of(last)["response"]["error"]["message"]
    assert done == DONE


def test_the_content_of_what_is_not_stored_is_read_from_valkey(
    desk: Desk, worker: InProcessWorker, client: redis.Redis, sql: RunSql
) -> None:
    new = stored_response(store=False, parameters={}, content_key=new_content_key())
    parameters = {"temperature": 1.0, "top_p": 1.0, "max_output_tokens": 3}
    content = UnstoredContent(
        parameters=parameters, metadata={}, items=[input_message(new.id, "12345")]
    )
    UnstoredContents(client).put(ResponseCipher.of(new), content)
    desk.store.responses.create(new, [])

    worker.run_queued().result()

    [[usage]] = sql("SELECT usage FROM responses")
    assert (usage["input_tokens"], usage["output_tokens"]) == (5, 3)


def test_the_end_can_be_read_although_redis_has_lost_the_content(
    desk: Desk, make_worker: MakeWorker, client: redis.Redis, log: EventLog
) -> None:
    new = stored_response(
        store=False, background=False, parameters={}, content_key=new_content_key()
    )
    cipher = ResponseCipher.of(new)
    parameters = {"temperature": 1.0, "top_p": 1.0}
    items = [input_message(new.id, "a")]
    content = UnstoredContent(parameters=parameters, metadata={}, items=items)
    UnstoredContents(client).put(cipher, content)
    desk.store.responses.create(new, [])

    task = make_worker(script_interval_ms=20, script_tokens=20).run_queued()
    eventually(lambda: log.read(new.id, start=2, cipher=cipher))
    client.flushall()
    task.result()

    assert log.read(new.id, start=1, cipher=cipher)[-1].is_terminal


def test_instructions_come_before_the_input(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http, input="Hello.", instructions="Be brief.")

    assert response["usage"]["input_tokens"] == len("Be brief.\nHello.")


def test_every_turn_of_a_chain_reaches_the_model(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    first = create_and_wait(http, input="One.", instructions="Only for the first.")
    second = create_and_wait(http, input="Two.", previous_response_id=first["id"])

    third = create_and_wait(
        http, input="Three.", instructions="Now.", previous_response_id=second["id"]
    )

    turns = ["Now.", "One.", text_of(first), "Two.", text_of(second), "Three."]
    assert third["usage"]["input_tokens"] == len("\n".join(turns))


def test_a_response_cancelled_before_it_was_claimed_never_reaches_the_engine(
    http: FlaskClient, worker: InProcessWorker, desk: Desk, sql: RunSql
) -> None:
    queued = desk.create()
    sql("UPDATE responses SET cancel_requested = true")

    worker.run_queued().result()

    response = fetch(http, response_wire_id(queued.id))
    assert (response["status"], response["output"]) == ("cancelled", [])
    assert response["usage"] is None


def test_a_response_ends_in_the_store_while_valkey_loses_everything(
    http: FlaskClient, make_worker: MakeWorker, client: redis.Redis
) -> None:
    make_worker(script_interval_ms=10, script_tokens=100)
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    next(frame for frame in streamed if b"delta" in frame)

    client.flushall()

    assert wait_for_end(http, response["id"])["status"] == "completed"


def test_one_wake_up_is_enough_for_all_that_is_queued(desk: Desk, make_worker: MakeWorker) -> None:
    responses = [desk.create() for _ in range(3)]

    make_worker().run_queued().result()

    assert [desk.status(response) for response in responses] == [ResponseStatus.COMPLETED] * 3


def test_a_fault_of_the_database_midway_costs_no_response(
    desk: Desk, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = desk.create()
    read, faults = Items.input_of, [UnavailableError()]

    def read_after_a_fault(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return read(*arguments)

    monkeypatch.setattr(Items, "input_of", read_after_a_fault)

    make_worker().run_queued().result()

    assert not faults
    assert desk.status(response) is ResponseStatus.COMPLETED
    assert desk.num_crashes(response) == 0


def test_a_response_that_comes_to_a_lost_engine_is_left_to_other_workers(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch, desk: Desk
) -> None:
    lost = make_worker()
    engine: Any = lost.runtime._engine
    submit = engine.submit

    def lose(request: GenerationRequest) -> None:
        engine._is_lost = True
        submit(request)

    monkeypatch.setattr(engine, "submit", lose)
    # The watchdog has not noticed the loss yet, which ends the process.
    monkeypatch.setattr(lost.runtime._watchdog, "_on_end", lambda: None)
    response = desk.create()

    lost.run_queued().result()

    assert desk.status(response) is ResponseStatus.QUEUED
    assert desk.num_crashes(response) == 0
    make_worker().run_queued().result()
    assert desk.status(response) is ResponseStatus.COMPLETED
