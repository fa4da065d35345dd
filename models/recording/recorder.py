"""One attempt's record of a response: events made, logged, and written down with its end.

Used by the worker that generates, and by whoever ends a response in a worker's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import redis
from pydantic import TypeAdapter

from models.encryption.cipher import ContentCipher
from models.encryption.reasoning import reasoning_extras_of
from models.events.resumable_writer import ResumableWriter
from models.events.state_machine import EventMachine, StreamState
from models.ids import choice_of
from models.recording.event_json import serialise
from models.responses.record import ResponseRecord, opening_resource, running_resource, to_resource
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.schemas.events import Event
from models.schemas.item_events import BaseEvent, ItemEvent
from models.schemas.response import Usage
from models.schemas.strict import ItemStatus
from models.store.finish import TerminalRecord
from models.streams.event_log import Append, AppendResult, EventLog

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingCause:
    """Why and how a response ends."""

    status: ResponseStatus
    usage: Usage | None = None
    error: dict[str, str] | None = None
    incomplete_details: dict[str, str] | None = None


class Recorder:
    """The events of one response from sequence number 0, and which of them are logged yet."""

    def __init__(
        self, stored: ResponseRecord, log: EventLog, cipher: ContentCipher | None = None
    ) -> None:
        """Without a `cipher` thoughts are shown in the open alone."""
        self.stored = stored
        self._log = log
        self._machine = EventMachine(reasoning_extras_of(stored, cipher))
        self._events = serialise(self._machine.open_stream(opening_resource(stored)))
        self._first_logged = len(self._events)
        self._num_logged = len(self._events)
        self._writers: dict[int, ResumableWriter] = {}
        self._unpublished: list[BaseEvent] = []
        self.is_stale = False

    def take_over_log(self) -> list[GeneratedToken]:
        """Take over what an earlier attempt logged; returns the tokens that it generated."""
        tokens: list[GeneratedToken] = []
        logged_events = self._log.take_over(
            self.stored.id, self.stored.attempt, start=self._first_logged
        )
        for logged in logged_events:
            if logged.is_terminal:
                break
            event = _EVENT.validate_json(logged.data)
            self._machine.replay(event)
            self._events.append(logged)
            if isinstance(event, ItemEvent):
                choice = choice_of(self._machine.output[event.output_index].id)
                tokens += [GeneratedToken(choice, token_id) for token_id in logged.token_ids]
        self._num_logged = len(self._events)
        return tokens

    @classmethod
    def resume(
        cls, stored: ResponseRecord, log: EventLog, cipher: ContentCipher | None = None
    ) -> tuple["Recorder", list[GeneratedToken]]:
        """Go on after the earlier attempts, whose tokens are returned.

        While the log is out of reach, from the beginning: equal tokens make the same events again.
        """
        recorder = cls(stored, log, cipher)
        try:
            return recorder, recorder.take_over_log() if stored.attempt > 1 else []
        except redis.RedisError:
            return cls(stored, log, cipher), []

    @property
    def next_sequence_number(self) -> int:
        """The number that the next event will have."""
        return len(self._events)

    def begin(self) -> None:
        """Announce that a worker is at it, unless an earlier attempt has."""
        if self._machine.state in (StreamState.CREATED, StreamState.QUEUED):
            self._record(self._machine.begin(running_resource(self.stored)))

    def writer(self, choice: int = 0) -> ResumableWriter:
        """What records the output of one of `n` choices, wherever it has come to."""
        if choice not in self._writers:
            self._writers[choice] = ResumableWriter(
                self.stored.id, self._machine, self._record, choice=choice
            )
        return self._writers[choice]

    def pending(self) -> Append | None:
        """The events that are not in the log yet."""
        if self.is_stale or self._num_logged == len(self._events):
            return None
        return Append(
            response_id=self.stored.id,
            attempt=self.stored.attempt,
            first_sequence_number=self._first_logged,
            events=self._events[self._num_logged :],
        )

    def settle(self, append: Append, result: AppendResult) -> None:
        """Take note of what became of a pending append."""
        match result:
            case AppendResult.OK:
                self._num_logged = append.events[-1].sequence_number + 1
            case AppendResult.LOST:
                self._num_logged = self._first_logged
            case AppendResult.STALE:
                self.is_stale = True
            case AppendResult.UNREACHABLE:
                pass

    def flush(self) -> None:
        """Log what is pending; what cannot be logged now is still archived at the end."""
        for _ in range(2):
            append = self.pending()
            if append is None:
                return
            [result] = self._log.append([append])
            self.settle(append, result)

    def finish(self, cause: EndingCause) -> TerminalRecord:
        """Close what is open and make the terminal event; what is to be committed.

        Nothing can be recorded after. `publish_end` follows the commit and never precedes it:
        nobody may read a terminal event of an end that did not come about.
        """
        self._close_output(cause.status)
        finished_at = datetime.now(UTC)
        closed = [draft.item for draft in self._machine.drafts if draft.is_closed]
        finished = replace(
            self.stored,
            status=cause.status,
            finished_at=finished_at,
            output=[item.model_dump() for item in closed],
            usage=cause.usage.model_dump() if cause.usage else None,
            error=cause.error,
            incomplete_details=cause.incomplete_details,
        )
        self._unpublished = self._machine.end(to_resource(finished))
        terminal = serialise(self._unpublished)
        return TerminalRecord(
            status=finished.status,
            finished_at=finished_at,
            output=finished.output,
            usage=finished.usage,
            error=finished.error,
            incomplete_details=finished.incomplete_details,
            events=[event.data for event in (*self._events, *terminal)],
        )

    def publish_end(self) -> None:
        """Send the terminal event, now that the end is committed."""
        self._record(self._unpublished)
        append = self.pending()
        if append is None:
            return
        [result] = self._log.append([append])
        self.settle(append, result)
        if result is not AppendResult.LOST:
            return
        if self.stored.store:
            # Readers find it in the archive; if it was deleted, nothing may come back.
            self._log.nudge(self.stored.id)
        else:
            self.flush()

    def _close_output(self, status: ResponseStatus) -> None:
        """An item that stays open is no part of a failed response; of others, its text is kept."""
        if status is ResponseStatus.FAILED:
            return
        is_cut = status is not ResponseStatus.COMPLETED
        end: ItemStatus = "incomplete" if is_cut else "completed"
        if not self._machine.drafts and not is_cut:
            self.writer().add_text("")
        for index, draft in enumerate(self._machine.drafts):
            if not draft.is_closed:
                self._record(self._machine.close(index, end))

    def _record(self, events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> None:
        self._events += serialise(events, token_ids)
