from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
import redis

from models.recording.opening import opening_events
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.streams.event_log import EventLog, LoggedEvent
from tests.factories import say, stored_response

_COMPLETED = EndingCause(status=ResponseStatus.COMPLETED)
_WORDS = ["One", " two", " three"]


@pytest.fixture
def claimed_record() -> ResponseRecord:
    return stored_response(status=ResponseStatus.IN_PROGRESS, attempt=1)


def write(recorder: Recorder, words: Sequence[str] = _WORDS) -> Recorder:
    recorder.begin()
    for number, word in enumerate(words):
        say(recorder, word, [number])
    return recorder


def record(recorder: Recorder, words: Sequence[str] = _WORDS) -> Recorder:
    write(recorder, words).flush()
    return recorder


def parse(events: Sequence[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(event) for event in events]


def data_of(events: Sequence[LoggedEvent]) -> list[bytes]:
    return [event.data for event in events]


def test_it_works(claimed_record: ResponseRecord, log: EventLog) -> None:
    recorder = record(Recorder(claimed_record, log))

    ending = recorder.finish(_COMPLETED)

    events = parse(ending.events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == list(ending.output)
    assert ending.output[0]["content"][0]["text"] == "One two three"


def test_what_is_logged_is_what_is_archived(claimed_record: ResponseRecord, log: EventLog) -> None:
    recorder = record(Recorder(claimed_record, log))
    ending = recorder.finish(_COMPLETED)
    recorder.publish_end()

    logged = log.read(claimed_record.id, start=2)

    assert data_of([*opening_events(claimed_record), *logged]) == list(ending.events)


def test_no_terminal_event_can_be_read_before_the_end_is_committed(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    recorder = record(Recorder(claimed_record, log))

    recorder.finish(_COMPLETED)
    recorder.flush()

    assert not any(event.is_terminal for event in log.read(claimed_record.id, start=2))


def test_a_second_attempt_goes_on_where_the_first_was_lost(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    undisturbed = write(Recorder(claimed_record, log))
    record(Recorder(claimed_record, log), _WORDS[:2])

    second = Recorder(replace(claimed_record, attempt=2), log)
    tokens = second.take_over_log()
    second.begin()
    say(second, _WORDS[2], [2])

    assert tokens == [GeneratedToken(0, 0), GeneratedToken(0, 1)]
    lines = [list(recorder.finish(_COMPLETED).events) for recorder in (undisturbed, second)]
    assert lines[0][:-1] == lines[1][:-1]


def test_an_attempt_that_was_taken_over_notices_and_writes_no_more(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    first = record(Recorder(claimed_record, log), _WORDS[:1])
    Recorder(replace(claimed_record, attempt=2), log).take_over_log()
    num_logged = len(log.read(claimed_record.id, start=2))

    say(first, " stale", [9])
    first.flush()

    assert first.is_stale
    assert first.pending() is None
    assert len(log.read(claimed_record.id, start=2)) == num_logged


def test_a_log_that_was_lost_midway_is_filled_again_from_its_beginning(
    claimed_record: ResponseRecord, log: EventLog, client: redis.Redis
) -> None:
    recorder = record(Recorder(claimed_record, log), _WORDS[:2])
    before = log.read(claimed_record.id, start=2)
    client.flushall()

    say(recorder, _WORDS[2], [2])
    recorder.flush()

    after = log.read(claimed_record.id, start=2)
    assert after[: len(before)] == before
    assert b" three" in after[-1].data


def test_a_failed_response_keeps_no_item_that_was_left_open(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    recorder = record(Recorder(claimed_record, log))
    error = {"code": "server_error", "message": "It broke."}

    ending = recorder.finish(EndingCause(status=ResponseStatus.FAILED, error=error))

    assert ending.output == []
    assert parse(ending.events)[-1]["type"] == "response.failed"
    assert parse(ending.events)[-1]["response"]["error"] == error


@pytest.mark.parametrize("status", [ResponseStatus.CANCELLED, ResponseStatus.INCOMPLETE])
def test_the_text_of_a_response_that_was_cut_off_is_kept(
    claimed_record: ResponseRecord, log: EventLog, status: ResponseStatus
) -> None:
    ending = record(Recorder(claimed_record, log)).finish(EndingCause(status=status))

    assert ending.output[0]["status"] == "incomplete"
    assert ending.output[0]["content"][0]["text"] == "One two three"
    assert parse(ending.events)[-1]["type"] == "response.incomplete"
    assert parse(ending.events)[-1]["response"]["status"] == status


def test_a_completed_response_without_text_has_an_empty_message(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    ending = record(Recorder(claimed_record, log), []).finish(_COMPLETED)

    assert ending.output[0]["content"][0]["text"] == ""
    assert ending.output[0]["status"] == "completed"


def test_a_response_that_is_cancelled_before_it_began_has_no_output(
    claimed_record: ResponseRecord, log: EventLog
) -> None:
    ending = Recorder(claimed_record, log).finish(EndingCause(status=ResponseStatus.CANCELLED))

    types = [event["type"] for event in parse(ending.events)]
    assert types == ["response.created", "response.queued", "response.incomplete"]
    assert ending.output == []


def test_a_foreground_stream_opens_with_its_creation_alone(claimed_record: ResponseRecord) -> None:
    opened = opening_events(replace(claimed_record, background=False))

    assert [event.type for event in opened] == ["response.created"]
    assert orjson.loads(opened[0].data)["response"]["status"] == "in_progress"


def test_opening_events_are_the_same_however_far_the_response_has_come(
    claimed_record: ResponseRecord,
) -> None:
    later = replace(
        claimed_record, status=ResponseStatus.COMPLETED, finished_at=claimed_record.created_at
    )

    assert opening_events(claimed_record) == opening_events(later)
    assert all(
        a.sequence_number + 1 == b.sequence_number for a, b in pairwise(opening_events(later))
    )
