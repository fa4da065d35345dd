"""One attempt's record of a response: generates events, logs them and builds the terminal record.

Used by the worker that generates, and by the API and the maintenance when they end a response that
has no worker.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import redis
from pydantic import TypeAdapter

from models.encryption.cipher import ContentCipher
from models.encryption.reasoning import reasoning_extras_of
from models.encryption.response import ResponseCipher
from models.events.item_state import ItemState, StreamState
from models.events.resumable_writer import ResumableWriter
from models.events.state_machine import EventMachine
from models.ids import COMPACTION_PREFIX, choice_of
from models.metrics.recorder import RECORDER
from models.metrics.table import FENCED_WRITES
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord, opening_resource, running_resource, to_resource
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.schemas.event_types import BaseEvent, ItemEvent
from models.schemas.events import Event
from models.schemas.output import Compaction
from models.schemas.strict import ItemStatus
from models.store.finish import TerminalRecord
from models.streams.event_log import Append, AppendResult, EventLog, serialise

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


class Recorder:
    """Recorder of all events of one response; keeps track of which are logged."""

    is_logged: ClassVar[bool] = True

    def __init__(
        self, record: ResponseRecord, log: EventLog, cipher: ContentCipher | None = None
    ) -> None:
        """Start with the opening events; without a `cipher` reasoning is never encrypted."""
        self.record = record
        self._log = log
        self._cipher = ResponseCipher.of_log(record)
        self._machine = EventMachine(reasoning_extras_of(record, cipher))
        self._events = serialise(self._machine.open_stream(opening_resource(record)))
        self._log_start = len(self._events)
        self._num_logged = len(self._events)
        self._writers: dict[int, ResumableWriter] = {}
        self._unpublished: list[BaseEvent] = []
        self.is_stale = False

    def take_over_log(self) -> list[GeneratedToken]:
        """Take over the events that earlier attempts logged; return the tokens they came from."""
        tokens: list[GeneratedToken] = []
        logged_events = self._log.take_over(
            self.record.id, self.record.attempt, start=self._log_start, cipher=self._cipher
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
        cls, record: ResponseRecord, log: EventLog, cipher: ContentCipher | None = None
    ) -> tuple["Recorder", list[GeneratedToken]]:
        """Return a recorder that continues earlier attempts, and the tokens that they logged.

        If Redis is unreachable, it starts from the beginning, as the same tokens generate the same
        events again.
        """
        recorder = cls(record, log, cipher)
        try:
            return recorder, recorder.take_over_log() if record.attempt > 1 else []
        except redis.RedisError:
            return cls(record, log, cipher), []

    @property
    def next_sequence_number(self) -> int:
        """Sequence number of the next event."""
        return len(self._events)

    def begin(self) -> None:
        """Record `response.in_progress`, unless an earlier attempt has."""
        if self._machine.state in (StreamState.CREATED, StreamState.QUEUED):
            self._add_events(self._machine.begin(running_resource(self.record)))

    @property
    def compaction(self) -> str | None:
        """Content of the compaction of the input that this attempt or an earlier one has made."""
        first = next(iter(self._machine.output), None)
        return first.encrypted_content if isinstance(first, Compaction) else None

    def add_compaction(self, encrypted_content: str) -> None:
        """Record the compaction of the input, before anything else of the output."""
        item_id = COMPACTION_PREFIX + self.record.id.hex
        events = self._machine.open_compaction(item_id)
        events += self._machine.close(0, "completed", encrypted_content=encrypted_content)
        self._add_events(events)  # in one append, so that an attempt finds both events or none

    def writer(self, choice: int = 0) -> ResumableWriter:
        """Return the writer of one of `n` choices, which continues where its record ends."""
        if choice not in self._writers:
            self._writers[choice] = ResumableWriter(
                self.record.id, self._machine, self._add_events, choice=choice
            )
        return self._writers[choice]

    @property
    def items(self) -> Sequence[ItemState]:
        """Output items so far, open ones included."""
        return self._machine.item_states

    def pending(self) -> Append | None:
        """Return an append of the events that are not logged yet; None if there are none.

        None as well once a newer attempt has taken over.
        """
        if self.is_stale or self._num_logged == len(self._events):
            return None
        return Append(
            response_id=self.record.id,
            attempt=self.record.attempt,
            first_sequence_number=self._log_start,
            events=self._events[self._num_logged :],
            cipher=self._cipher,
        )

    def apply_result(self, append: Append, result: AppendResult) -> None:
        """Update which events are logged from the outcome of an append."""
        match result:
            case AppendResult.OK:
                self._num_logged = append.events[-1].sequence_number + 1
            case AppendResult.LOST:
                self._num_logged = self._log_start
            case AppendResult.STALE:
                self.is_stale = True
                RECORDER.count(FENCED_WRITES, "events")
            case AppendResult.UNREACHABLE:
                pass

    def flush(self) -> None:
        """Log the pending events; those that cannot be logged now are still archived at the end."""
        for _ in range(2):
            append = self.pending()
            if append is None:
                return
            [result] = self._log.append([append])
            self.apply_result(append, result)

    def finish(self, cause: EndingCause) -> TerminalRecord:
        """Close open items, generate the terminal event and return the record to be committed.

        Nothing can be recorded afterwards. Call `publish_end` after the commit, never before: no
        client may read a terminal event whose commit then fails.
        """
        self._close_output(cause.status)
        finished_at = datetime.now(UTC)
        closed_items = [state.item for state in self._machine.item_states if state.is_closed]
        finished = replace(
            self.record,
            status=cause.status,
            finished_at=finished_at,
            output=[item.model_dump() for item in closed_items],
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
        """Log and publish the terminal event; call it once the end is committed."""
        self._add_events(self._unpublished)
        append = self.pending()
        if append is None:
            return
        [result] = self._log.append([append])
        self.apply_result(append, result)
        if result is not AppendResult.LOST:
            return
        if self.record.has_archive:
            # Readers find the event in the archive. Rewriting the log could restore events of a
            # response that has been deleted.
            self._log.wake_readers(self.record.id)
        else:
            self.flush()

    def _close_output(self, status: ResponseStatus) -> None:
        """Close the open items with their text so far; a failed response drops them instead."""
        if status is ResponseStatus.FAILED:
            return
        is_cut = status is not ResponseStatus.COMPLETED
        item_status: ItemStatus = "incomplete" if is_cut else "completed"
        has_answer = any(state.item.type != "compaction" for state in self._machine.item_states)
        if not (has_answer or is_cut or self.record.is_warm_up):
            self.writer().add_text("")
        for index, item_state in enumerate(self._machine.item_states):
            if not item_state.is_closed:
                self._add_events(self._machine.close(index, item_status))

    def _add_events(self, events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> None:
        self._events += serialise(events, token_ids)
