"""`context_management`: the older part of a long input is summarised before the answer."""

from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from openai._models import construct_type
from openai.types.responses import Response, ResponseCompactionItem

from models.chat.scripted_encoder import ScriptedEncoder
from models.ids import parse_response_id
from tests.integration.api.requests import (
    cancel,
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
from worker.engine.interface import GenerationRequest
from worker.engine.scripted import ScriptedEngine
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

_TOKENS = 150
_SLOW: dict[str, Any] = {"script_interval_ms": 20, "script_tokens": _TOKENS}
_FAST: dict[str, Any] = {"script_interval_ms": 1, "script_tokens": _TOKENS}
SAID = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "We launch on Tuesday."},
    {"role": "assistant", "content": "Understood."},
    {"role": "user", "content": "Notify support."},
]
LIMIT = {"context_management": [{"type": "compaction", "compact_threshold": 20}]}
ADDED = b"event: response.output_item.added"


def prompt_of(*texts: str) -> int:
    """Return the length of the scripted engine's prompt of messages: a byte is a token."""
    return len("\n".join(texts).encode())


def summary_in(response: dict[str, Any]) -> str:
    """Return the summary as models read it: the scripted engine writes the same text each time."""
    return "Summary of the conversation so far:\n\n" + text_of({"output": response["output"][1:]})


@pytest.mark.usefixtures("worker")
def test_it_works(http: FlaskClient) -> None:
    response = create_and_wait(http, input=SAID, **LIMIT)

    assert response["status"] == "completed"
    compaction, message = response["output"]
    assert compaction["type"] == "compaction"
    assert compaction.keys() == {"type", "id", "encrypted_content", "status"}
    assert message["type"] == "message"
    # The system's messages are joined.
    system = summary_in(response) + "\n\n" + SAID[0]["content"]
    assert response["usage"]["input_tokens"] == prompt_of(system, SAID[3]["content"])
    read = construct_type(type_=Response, value=response)
    assert isinstance(read, Response)
    assert isinstance(read.output[0], ResponseCompactionItem)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("given", "threshold"),
    [(SAID, 1000), (SAID[:1] + SAID[3:], 1), (SAID[3:], 1), (SAID, None)],
    ids=["short enough", "one turn", "one message", "no threshold"],
)
def test_what_is_not_too_long_stays_as_it_is(
    http: FlaskClient, given: list[dict[str, str]], threshold: int | None
) -> None:
    management = [{"type": "compaction", "compact_threshold": threshold}]

    response = create_and_wait(http, input=given, context_management=management)

    [message] = response["output"]
    assert message["type"] == "message"
    assert response["usage"]["input_tokens"] == prompt_of(*(item["content"] for item in given))


@pytest.mark.usefixtures("worker")
def test_the_compaction_is_streamed_before_the_answer(http: FlaskClient) -> None:
    response = create_and_wait(http, input=SAID, **LIMIT)

    seen = events(stream(http, response["id"]))

    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    items = [event for event in seen if event["type"].startswith("response.output_item")]
    kinds = [(event["type"].rpartition(".")[2], event["item"]["type"]) for event in items]
    assert kinds == [
        ("added", "compaction"),
        ("done", "compaction"),
        ("added", "message"),
        ("done", "message"),
    ]
    assert items[1]["item"] == response["output"][0]


@pytest.mark.usefixtures("worker")
def test_later_turns_read_the_summary_and_what_came_since(http: FlaskClient) -> None:
    first = create_and_wait(http, input=SAID, **LIMIT)
    answer, question = text_of({"output": first["output"][1:]}), "Go on."
    last = {"role": "user", "content": question}

    chained = create_and_wait(http, input=question, previous_response_id=first["id"])
    appended = create_and_wait(http, input=[*SAID, *first["output"], last])
    shortened = create_and_wait(http, input=[*first["output"], last])

    system = summary_in(first) + "\n\n" + SAID[0]["content"]
    length = prompt_of(system, SAID[3]["content"], answer, question)
    for turn in (chained, appended, shortened):
        assert turn["usage"]["input_tokens"] == length


@pytest.mark.usefixtures("worker")
def test_a_summary_is_summarised_with_what_came_since(http: FlaskClient) -> None:
    first = create_and_wait(http, input=SAID, **LIMIT)

    second = create_and_wait(http, input="Go on.", previous_response_id=first["id"], **LIMIT)

    assert [item["type"] for item in second["output"]] == ["compaction", "message"]
    system = summary_in(second) + "\n\n" + SAID[0]["content"]
    assert second["usage"]["input_tokens"] == prompt_of(system, "Go on.")


@pytest.mark.usefixtures("worker")
def test_an_unstored_response_is_compacted_too(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": SAID, "store": False, **LIMIT})

    assert [item["type"] for item in parsed(answer)["output"]] == ["compaction", "message"]


def test_a_worker_lost_in_the_summary_or_after_it_changes_nothing(
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
) -> None:
    make_worker(**_SLOW, timings=unaware_timings)
    before, after = create(http, input=SAID, **LIMIT), create(http, input=SAID, **LIMIT)
    frame = next(frame for frame in frames(stream(http, after["id"])) if frame.startswith(ADDED))
    desk.lapse_leases()
    maintenance.reclaim()
    make_worker(**_FAST).run_queued()

    for response in (before, after):
        ended = wait_for_end(http, response["id"])
        seen = events(stream(http, response["id"]))
        assert ended["status"] == "completed"
        assert [item["type"] for item in ended["output"]] == ["compaction", "message"]
        assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert event_of(frame) in seen


def test_a_cancel_ends_the_summary(http: FlaskClient, make_worker: MakeWorker) -> None:
    make_worker(**{**_SLOW, "script_tokens": 10_000})
    response = create(http, input=SAID, **LIMIT)
    wait_for_summary(http, response["id"])

    cancel(http, response["id"])

    ended = wait_for_end(http, response["id"])
    assert (ended["status"], ended["output"]) == ("cancelled", [])
    assert fetch(http, response["id"])["usage"]["output_tokens"] >= 0


def wait_for_summary(http: FlaskClient, response_id: str) -> None:
    """Follow the event stream until the summary is generated, which has no events."""
    answer = stream(http, response_id)
    for frame in frames(answer):
        if b"response.in_progress" in frame:
            break
    answer.close()


def has_whole_output(http: FlaskClient, response_id: str) -> bool:
    """Return True if a response has ended with a compaction and an answer, and all its events."""
    ended = wait_for_end(http, response_id)
    seen = events(stream(http, response_id))
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    kinds = [item["type"] for item in ended["output"]]
    return ended["status"] == "completed" and kinds == ["compaction", "message"]


def test_a_flushed_valkey_costs_no_event(
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
    client: redis.Redis,
) -> None:
    make_worker(**_SLOW, timings=unaware_timings)
    response = create(http, input=SAID, **LIMIT)
    wait_for_text(http, response["id"])
    client.flushall()
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker(**_FAST).run_queued()

    assert has_whole_output(http, response["id"])


def test_a_drain_hands_the_summary_back(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk
) -> None:
    worker = make_worker(**_SLOW, drain_seconds=0)
    response = create(http, input=SAID, **LIMIT)
    wait_for_summary(http, response["id"])

    worker.drain()

    assert fetch(http, response["id"])["status"] == "queued"
    make_worker(**_FAST).run_queued()
    assert has_whole_output(http, response["id"])
    assert desk.sql("SELECT attempt, num_crashes FROM responses") == [(2, 0)]


def test_a_summary_of_flex_is_put_off_for_what_is_urgent(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, worker_timings: WorkerTimings
) -> None:
    make_worker(**_SLOW, max_sequences=1, timings=replace(worker_timings, preempt_s=0.05))
    response = create(http, input=SAID, service_tier="flex", **LIMIT)
    wait_for_summary(http, response["id"])

    wait_for_end(http, create(http, service_tier="priority", max_output_tokens=3)["id"])

    assert has_whole_output(http, response["id"])
    response_id = parse_response_id(response["id"])
    assert desk.sql("SELECT attempt FROM responses WHERE id = %s", response_id) == [(2,)]


def test_a_summary_that_fails_fails_the_response(
    http: FlaskClient, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ScriptedEngine, request: GenerationRequest) -> None:
        raise RuntimeError(f"no {request.sequence_id}")

    monkeypatch.setattr(ScriptedEngine, "submit", refuse)
    make_worker(**_FAST)

    ended = create_and_wait(http, input=SAID, **LIMIT)

    assert (ended["status"], ended["output"]) == ("failed", [])


@pytest.mark.usefixtures("worker")
def test_what_is_kept_must_fit(http: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEncoder, "context_length", 300)
    long = {"role": "user", "content": "x" * 250}

    answer = http.post("/v1/responses", json={"input": [*SAID, long], **LIMIT})
    fitting = create_and_wait(http, input=[long, SAID[3]], **LIMIT)

    assert error_of(answer)["code"] == "context_length_exceeded"
    assert [item["type"] for item in fitting["output"]] == ["compaction", "message"]
