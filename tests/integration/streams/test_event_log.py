from collections.abc import Sequence
from uuid import UUID

import pytest
import redis

from cli.embedded.ports import free_port
from models.ids import new_id
from models.streams.connection import connect
from models.streams.event_log import (
    FINISHED_TTL_S,
    RUNNING_TTL_S,
    Append,
    AppendResult,
    EventLog,
    LoggedEvent,
    events_channel,
    parse_message,
)
from tests.polling import PATIENCE_S

_FIRST = 2


def event(number: int, token_ids: tuple[int, ...] = (), *, type_: str = "some") -> LoggedEvent:
    data = b'{"type":"%b","sequence_number":%d}' % (type_.encode(), number)
    return LoggedEvent(number, data, token_ids)


def append(
    response_id: UUID, numbers: Sequence[int] = (2, 3), *, attempt: int = 1, type_: str = "some"
) -> Append:
    return Append(
        response_id=response_id,
        attempt=attempt,
        first_sequence_number=_FIRST,
        events=[event(number, type_=type_) for number in numbers],
    )


def numbers_of(events: Sequence[LoggedEvent]) -> list[int]:
    return [event.sequence_number for event in events]


def test_it_works(log: EventLog) -> None:
    response_id = new_id()
    events = [event(2, (5, 6)), event(3)]
    new = Append(response_id=response_id, attempt=1, first_sequence_number=_FIRST, events=events)

    assert log.append([new]) == [AppendResult.OK]

    assert log.read(response_id, start=2) == events
    assert log.read(response_id, start=3) == events[1:]
    assert log.read(response_id, start=4) == []


def test_several_responses_are_appended_in_one_call_each_with_its_own_result(
    log: EventLog,
) -> None:
    first, second = new_id(), new_id()

    results = log.append([append(first), append(second, [5])])

    assert results == [AppendResult.OK, AppendResult.LOST]
    assert numbers_of(log.read(first, start=2)) == [2, 3]


def test_an_event_that_is_there_already_stays_as_it_is(log: EventLog) -> None:
    response_id = new_id()
    log.append([append(response_id, type_="first")])

    assert log.append([append(response_id, [2, 3, 4], type_="again")]) == [AppendResult.OK]

    types = [event.type for event in log.read(response_id, start=2)]
    assert types == ["first", "first", "again"]


def test_an_attempt_is_refused_once_a_newer_one_has_written(log: EventLog) -> None:
    response_id = new_id()
    log.append([append(response_id, [2], attempt=2)])

    assert log.append([append(response_id, [3], attempt=1)]) == [AppendResult.STALE]
    assert log.append([append(response_id, [3], attempt=2)]) == [AppendResult.OK]
    assert numbers_of(log.read(response_id, start=2)) == [2, 3]


def test_taking_over_shuts_older_attempts_out_and_returns_what_they_wrote(log: EventLog) -> None:
    response_id = new_id()
    log.append([append(response_id)])

    assert numbers_of(log.take_over(response_id, 2, start=2)) == [2, 3]

    assert log.append([append(response_id, [4], attempt=1)]) == [AppendResult.STALE]
    assert numbers_of(log.read(response_id, start=2)) == [2, 3]


def test_taking_over_an_empty_log_shuts_older_attempts_out_as_well(log: EventLog) -> None:
    response_id = new_id()

    assert log.take_over(response_id, 2, start=2) == []

    assert log.append([append(response_id, attempt=1)]) == [AppendResult.STALE]


def test_an_older_attempt_that_takes_over_late_does_not_lower_the_fence(log: EventLog) -> None:
    response_id = new_id()
    log.take_over(response_id, 3, start=2)

    log.take_over(response_id, 2, start=2)

    assert log.append([append(response_id, attempt=2)]) == [AppendResult.STALE]


def test_a_log_whose_beginning_is_missing_is_not_continued(
    log: EventLog, client: redis.Redis
) -> None:
    response_id = new_id()
    log.append([append(response_id)])
    client.flushall()

    assert log.append([append(response_id, [4])]) == [AppendResult.LOST]
    assert log.read(response_id, start=2) == []
    assert log.append([append(response_id, [2, 3, 4])]) == [AppendResult.OK]


def test_reading_ends_before_a_gap(log: EventLog) -> None:
    response_id = new_id()
    log.append([append(response_id, [2, 3, 5, 6])])

    assert numbers_of(log.read(response_id, start=2)) == [2, 3]
    assert log.read(response_id, start=4) == []


def test_appended_events_are_published_as_they_are_logged(
    log: EventLog, client: redis.Redis
) -> None:
    response_id = new_id()
    with client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
        subscription.subscribe(events_channel(response_id))
        subscription.get_message(timeout=PATIENCE_S)

        log.append([append(response_id)])
        log.wake_readers(response_id)
        messages = [subscription.get_message(timeout=PATIENCE_S) for _ in range(2)]

    payloads = [message["data"] for message in messages if message]
    assert parse_message(payloads[0]) == [event(2), event(3)]
    assert parse_message(payloads[1]) == []


@pytest.mark.parametrize(
    ("type_", "ttl_s"), [("some", RUNNING_TTL_S), ("response.completed", FINISHED_TTL_S)]
)
def test_no_log_is_kept_for_ever(
    log: EventLog, client: redis.Redis, type_: str, ttl_s: int
) -> None:
    log.append([append(new_id(), type_=type_)])

    ttls = [client.ttl(key) for key in client.scan_iter()]
    assert len(ttls) == 2
    assert all(ttl_s - 5 < ttl <= ttl_s for ttl in ttls)


def test_a_forgotten_response_leaves_nothing(log: EventLog, client: redis.Redis) -> None:
    kept, forgotten = new_id(), new_id()
    log.append([append(kept), append(forgotten)])

    log.forget([forgotten])

    assert not [key for key in client.scan_iter() if forgotten.hex.encode() in key]
    assert numbers_of(log.read(kept, start=2)) == [2, 3]


def test_forgetting_nothing_is_no_error(log: EventLog, client: redis.Redis) -> None:
    log.append([append(new_id())])

    log.forget([])

    assert len(client.keys()) == 2


def test_a_server_that_has_forgotten_the_script_is_given_it_again(
    log: EventLog, client: redis.Redis
) -> None:
    response_id = new_id()
    log.append([append(response_id)])
    client.script_flush()

    assert log.append([append(response_id, [4])]) == [AppendResult.OK]


def test_a_log_out_of_reach_is_a_result_and_no_exception() -> None:
    with connect(f"redis://127.0.0.1:{free_port()}") as nowhere:
        results = EventLog(nowhere).append([append(new_id()), append(new_id())])

    assert results == [AppendResult.UNREACHABLE] * 2


def test_a_log_that_lacks_events_in_between_is_written_anew(
    log: EventLog, client: redis.Redis
) -> None:
    response_id = new_id()
    log.append([append(response_id, (2, 3, 4))])
    client.xdel(f"antiphon:log:{response_id.hex}", "5-0")

    assert log.append([append(response_id, (5,))]) == [AppendResult.LOST]
    assert log.read(response_id, start=2) == []
