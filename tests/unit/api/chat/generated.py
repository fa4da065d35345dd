"""Responses that were generated in the test itself: their events, and their object at the end."""

from collections.abc import Callable
from typing import Any

import orjson
import redis

from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.response import Usage
from models.streams.event_log import EventLog, LoggedEvent
from tests.factories import stored_response

USAGE = Usage.of(input_tokens=7, cached_tokens=4, output_tokens=5, reasoning_tokens=2)

Write = Callable[[Recorder], object]
"""Function that records the output of a response."""


def make_record(**parameters: Any) -> ResponseRecord:
    """Return the record of a chat completion request with these parameters."""
    return stored_response(background=False, parameters=parameters)


def make_events(
    record: ResponseRecord,
    write: Write,
    status: ResponseStatus = ResponseStatus.COMPLETED,
    **cause: Any,
) -> list[LoggedEvent]:
    """Return all events of a response whose output is recorded by `write`."""
    recorder = Recorder(record, EventLog(redis.Redis()))
    recorder.begin()
    write(recorder)
    ending = recorder.finish(EndingCause(status=status, usage=USAGE, **cause))
    return [LoggedEvent(number, data) for number, data in enumerate(ending.events)]


def response_of(events: list[LoggedEvent]) -> bytes:
    """Return the JSON of the response as it has ended."""
    return orjson.dumps(orjson.loads(events[-1].data)["response"])
