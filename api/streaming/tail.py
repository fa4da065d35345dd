"""Reader of a response's events from a given sequence number to the end, each once and in order.

Opening events are derived from the response's row, live ones come from the log and the subscription
in Redis, and those of a finished response from the archive in Postgres. The sequence number alone
decides which event comes next.
"""

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from uuid import UUID

import orjson
import redis

from api.services import Services
from api.streaming.archives import Archives
from api.streaming.event_names import rename_event
from api.streaming.subscription import Subscription
from models.encryption.response import ResponseCipher
from models.errors import AppError, ResponseNotFoundError
from models.ids import response_wire_id
from models.recording.opening import opening_events
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from models.schemas.events import ErrorEvent
from models.settings import EventNaming
from models.streams.event_log import LoggedEvent, parse_message

FIRST_READ_BYTES = 1 << 16
"""Bytes of an archive that are held at first; the double after each part that was sent at once."""
PUBLISH_S = 5.0
"""Seconds that the terminal event may take to be published after its commit."""


class EventsLostError(AppError):
    """The events of this response are gone."""

    default_code = "events_lost"


@dataclass
class Tail:
    """Position of one reader in the events of one response."""

    services: Services
    record: ResponseRecord
    next_number: int = 0
    naming: EventNaming = "openai"
    """Names that events have which the specification and OpenAI's clients name differently."""
    terminal_event: LoggedEvent | None = None
    """Terminal event, if it does not follow on the events read before."""
    _deadline: float | None = None
    """Monotonic time, in seconds, at which the reader stops waiting for unarchived events."""

    async def follow(self) -> AsyncGenerator[list[LoggedEvent], None]:
        """Yield the events from `next_number` on, in batches of those that are there.

        Raise `EventsLostError` if events are missing and will not come, and a 404 if the response
        is deleted.
        """
        if opening := self._take(opening_events(self.record)):
            yield opening
        if self.record.status in TERMINAL:
            async for events in self._follow_archive():
                yield events
            return
        async with self.services.broadcaster.subscribe(
            self.record.project_id, self.record.id
        ) as subscription:
            async for events in self._follow_live(subscription):
                yield events

    async def _follow_archive(self) -> AsyncGenerator[list[LoggedEvent], None]:
        """Yield the events of a finished response, as many at a time as the reader keeps up with.

        A slow reader thus holds little memory.
        """
        num_bytes = FIRST_READ_BYTES
        while True:
            began = time.monotonic()
            archived, last = await self.services.loop.read(self._read_archived, num_bytes)
            if events := self._take(archived):
                yield events
            if self.next_number > last.sequence_number or not events:
                self._check_not_behind([last])
                return
            is_fast = time.monotonic() - began < 1
            num_bytes = num_bytes * 2 if is_fast else FIRST_READ_BYTES

    async def _follow_live(
        self, subscription: Subscription
    ) -> AsyncGenerator[list[LoggedEvent], None]:
        batch = await self._read(self._read_log)
        while True:
            if events := self._take(batch):
                yield events
            if batch and batch[-1].is_terminal and batch[-1].sequence_number < self.next_number:
                self._check_not_behind(batch)
                return
            batch = await self._receive(await subscription.get())

    async def _receive(self, message: bytes) -> list[LoggedEvent]:
        """Return the events of a message, or those of the log or store if some were missed."""
        if not message:
            return await self._read(self._read_store)
        events = parse_message(message, self._cipher)
        if events and events[0].sequence_number <= self.next_number:
            return events
        return await self._read(self._read_log)

    async def _read(self, read: Callable[[], list[LoggedEvent]]) -> list[LoggedEvent]:
        return await self.services.loop.read(read)

    def _take(self, events: list[LoggedEvent]) -> list[LoggedEvent]:
        """Return the events that come next: none that were seen before, none after a gap."""
        taken = []
        for event in events:
            if event.sequence_number == self.next_number:
                self.next_number += 1
                taken.append(rename_event(event, self.naming))
        return taken

    def _check_not_behind(self, events: list[LoggedEvent]) -> None:
        """Raise `EventsLostError` if the response ends before the last event that was read.

        This happens if Redis lost events together with the worker that had generated them, and
        another process then ended the response.
        """
        if events[-1].sequence_number < self.next_number - 1:
            self.terminal_event = events[-1]
            number = self.terminal_event.sequence_number
            message = f"The response ended with event {number}; others are gone."
            raise EventsLostError(message)

    @property
    def _key(self) -> tuple[str, UUID]:
        return self.record.project_id, self.record.id

    @property
    def _archives(self) -> Archives:
        is_temporary = self.record.is_temporary
        return self.services.temporary_archives if is_temporary else self.services.archives

    @property
    def _cipher(self) -> ResponseCipher | None:
        return ResponseCipher.of_log(self.record)

    def _read_log(self) -> list[LoggedEvent]:
        try:
            return self.services.log.read(
                self.record.id, start=self.next_number, cipher=self._cipher
            )
        except redis.RedisError:
            # The archive will have the events; until then this stream waits.
            return []

    def _read_store(self) -> list[LoggedEvent]:
        """Return the events that follow a wake-up: of a finished response, those in the archive.

        Raise a 404 if the response was deleted.
        """
        if self._check_not_deleted() not in TERMINAL:
            return self._read_log()
        archived = self._archives.read(*self._key)
        return self._read_unarchived() if archived is None else archived

    def _check_not_deleted(self) -> ResponseStatus:
        status = self.services.store.responses.statuses([self._key]).get(self.record.id)
        if status is None:
            raise ResponseNotFoundError(response_wire_id(self.record.id))
        return status

    def _read_archived(self, num_bytes: int) -> tuple[list[LoggedEvent], LoggedEvent]:
        """Return the next events of a finished response, about `num_bytes`, and its last event.

        Raise an `AppError` if they are gone.
        """
        archived = self._archives.read(*self._key)
        if archived is None:
            self._check_not_deleted()
            raise EventsLostError
        end = self.next_number
        while end < len(archived) and num_bytes > 0:
            num_bytes -= len(archived[end].data)
            end += 1
        return archived[self.next_number : end], archived[-1]

    def _read_unarchived(self) -> list[LoggedEvent]:
        """Return the logged events of an unstored response; only the log has its terminal event.

        Raise `EventsLostError` if that is still missing `PUBLISH_S` seconds after the commit was
        seen.
        """
        events = self._read_log()
        if events and events[-1].is_terminal:
            return events
        if self._deadline is None:
            self._deadline = time.monotonic() + PUBLISH_S
        if time.monotonic() > self._deadline:
            raise EventsLostError
        return events


def make_error_event(error: AppError, sequence_number: int) -> LoggedEvent:
    """Return the event that reports why a stream cannot continue."""
    event = ErrorEvent(sequence_number=sequence_number, error=error.payload())
    return LoggedEvent(sequence_number, event.model_dump_json().encode())


def extract_response(event: LoggedEvent) -> bytes:
    """Return the JSON of the response object in a terminal event."""
    return orjson.dumps(orjson.loads(event.data)["response"])
