"""All events of a response after a given one, each once and in order, until the end.

Opening events come from the row, live ones from the log and the subscription, those of a finished
response from the archive. The sequence number alone decides what comes next.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import redis

from api.services import Services
from api.streaming.broadcaster import Subscription
from api.streaming.event_names import spelled
from models.errors import AppError, ResponseNotFoundError
from models.ids import response_wire_id
from models.recording.opening import opening_events
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from models.schemas.events import ErrorEvent
from models.streams.event_log import LoggedEvent, parse_message

PUBLISH_S = 5.0
"""How long after its commit an end may take to be published."""


class EventsLostError(AppError):
    """The events of this response are gone."""

    default_code = "events_lost"


@dataclass
class Tail:
    """One reader's place in the events of one response."""

    at: Services
    stored: ResponseRecord
    next_number: int = 0
    end: LoggedEvent | None = None
    """The terminal event, where it does not follow on what was read."""
    _gone_at: float | None = None
    """When events that are in no archive are given up."""

    def follow(self, *, idle_s: float) -> Iterator[LoggedEvent | None]:
        """Events from `next_number` on; None whenever nothing came for `idle_s` seconds."""
        yield from self._take(opening_events(self.stored))
        if self.stored.status in TERMINAL:
            archived = self._archive()
            if archived is None:
                self._check_not_deleted()
                raise EventsLostError
            yield from self._take(archived)
            self._check_not_behind(archived)
            return
        with self.at.broadcaster.subscribe(self.stored.project_id, self.stored.id) as subscription:
            yield from self._follow_live(subscription, idle_s)

    def _follow_live(
        self, subscription: Subscription, idle_s: float
    ) -> Iterator[LoggedEvent | None]:
        batch: list[LoggedEvent] = self._logged()
        while True:
            yield from self._take(batch)
            if batch and batch[-1].is_terminal and batch[-1].sequence_number < self.next_number:
                self._check_not_behind(batch)
                return
            message = subscription.get(idle_s)
            if message is None:
                yield None
                batch = []
            elif message:
                batch = self._without_gap(parse_message(message))
            else:
                batch = self._from_store()

    def _take(self, events: list[LoggedEvent]) -> Iterator[LoggedEvent]:
        """Those of `events` that come next; what was seen is passed over, a gap ends it."""
        for event in events:
            if event.sequence_number == self.next_number:
                self.next_number += 1
                yield spelled(event, self.at.settings.reasoning_events)

    def _check_not_behind(self, events: list[LoggedEvent]) -> None:
        """Raise if this reader knows more than anybody else.

        Redis lost events together with the worker that had made them, and then the response was
        ended by another.
        """
        if events[-1].sequence_number < self.next_number - 1:
            self.end = events[-1]
            message = f"The response ended with event {self.end.sequence_number}; others are gone."
            raise EventsLostError(message)

    def _without_gap(self, events: list[LoggedEvent]) -> list[LoggedEvent]:
        """A message, or the log when a message before it was missed."""
        return events if events[0].sequence_number <= self.next_number else self._logged()

    def _logged(self) -> list[LoggedEvent]:
        try:
            return self.at.log.read(self.stored.id, start=self.next_number)
        except redis.RedisError:
            # The archive will have them; until then this stream waits.
            return []

    def _from_store(self) -> list[LoggedEvent]:
        """The store was told to know more: the rest of a finished response, or its deletion."""
        if self._check_not_deleted() not in TERMINAL:
            return self._logged()
        archived = self._archive()
        return self._unarchived() if archived is None else archived

    def _check_not_deleted(self) -> ResponseStatus:
        key = (self.stored.project_id, self.stored.id)
        status = self.at.store.responses.statuses([key]).get(self.stored.id)
        if status is None:
            raise ResponseNotFoundError(response_wire_id(self.stored.id))
        return status

    def _archive(self) -> list[LoggedEvent] | None:
        events = self.at.store.responses.archived_events(self.stored.project_id, self.stored.id)
        if events is None:
            return None
        return [LoggedEvent(number, data) for number, data in enumerate(events)]

    def _unarchived(self) -> list[LoggedEvent]:
        """What is not stored has its end in the log alone, soon after it was committed."""
        logged = self._logged()
        if logged and logged[-1].is_terminal:
            return logged
        if self._gone_at is None:
            self._gone_at = time.monotonic() + PUBLISH_S
        if time.monotonic() > self._gone_at:
            raise EventsLostError
        return logged


def error_event(error: AppError, sequence_number: int) -> LoggedEvent:
    """The event that tells a reader why its stream cannot go on."""
    event = ErrorEvent(sequence_number=sequence_number, error=error.payload())
    return LoggedEvent(sequence_number, event.model_dump_json().encode())


def final_response(event: LoggedEvent) -> bytes:
    """The JSON of the response object in a terminal event."""
    return orjson.dumps(orjson.loads(event.data)["response"])
