"""`context_management`: the older part of a long input is summarised before the answer."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from openai._models import construct_type
from openai.types.responses import Response, ResponseCompactionItem

from tests.integration.api.requests import (
    cancel,
    create,
    create_and_wait,
    event_of,
    events,
    fetch,
    frames,
    parsed,
    stream,
    text_of,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
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
    for frame in frames(stream(http, response["id"])):
        if b"response.in_progress" in frame:
            break

    cancel(http, response["id"])

    ended = wait_for_end(http, response["id"])
    assert (ended["status"], ended["output"]) == ("cancelled", [])
    assert fetch(http, response["id"])["usage"]["output_tokens"] >= 0
