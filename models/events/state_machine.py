"""The event machine: which event may follow which, and the snapshot that events add up to.

Rule 1: everything that decides the legality of an event is here and in
`models/events/item_state.py`. No I/O, no clock, no database: what the machine needs to know it is
told. Rule 2: the machine numbers the events, so a number is never burnt: an event that was refused
has none.

Specification §4, "Order": created → [queued] → in_progress → the events of the items → one terminal
event. Several items may be open at a time, each in an order of its own. Once one has ended
incomplete none is begun, and the response cannot complete.
"""

from enum import StrEnum
from typing import Any, TypeVar

from models.events.item_builder import ItemBuilder
from models.events.item_state import IllegalEventError, ItemState
from models.events.reasoning_extras import ReasoningExtras
from models.schemas.events import (
    TERMINAL_EVENTS,
    ResponseCreated,
    ResponseInProgress,
    ResponseQueued,
)
from models.schemas.item_events import BaseEvent, ItemEvent, OutputItemAdded
from models.schemas.response import ResponseResource


class StreamState(StrEnum):
    """How far the stream of one response has come."""

    NEW = "new"
    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


E = TypeVar("E", bound=BaseEvent)
_S = StreamState
_CUT = {"response.incomplete": _S.ENDED, "response.failed": _S.ENDED}

STREAM_TABLE: dict[StreamState, dict[str, StreamState]] = {
    _S.NEW: {"response.created": _S.CREATED},
    _S.CREATED: {"response.queued": _S.QUEUED, "response.in_progress": _S.RUNNING, **_CUT},
    _S.QUEUED: {"response.in_progress": _S.RUNNING, **_CUT},
    _S.RUNNING: {"response.completed": _S.ENDED, **_CUT},
    _S.ENDED: {},
}
"""Of the events that belong to no item."""


class EventMachine(ItemBuilder):
    """Makes the events of one response, in legal order, numbered from 0 without gaps."""

    def __init__(self, reasoning_extras: ReasoningExtras | None = None) -> None:
        """`reasoning_extras` says what else a thought has when it is complete."""
        self._reasoning_extras = reasoning_extras or ReasoningExtras()
        self.state = StreamState.NEW
        self.next_sequence_number = 0
        self.drafts: list[ItemState] = []
        """By output index."""

    def open_stream(self, response: ResponseResource) -> list[BaseEvent]:
        """The opening events: they follow from the stored response alone.

        A background response is announced as queued, a foreground one as in progress: its client
        waits on this connection, and OpenAI's streams begin so.
        """
        created = self._write(ResponseCreated, response=response)
        if not response.background:
            return [created]
        return [created, self._write(ResponseQueued, response=response)]

    def begin(self, response: ResponseResource) -> list[BaseEvent]:
        """A worker has claimed the response."""
        return [self._write(ResponseInProgress, response=response)]

    def end(self, response: ResponseResource) -> list[BaseEvent]:
        """The terminal event that belongs to the response's status."""
        return [self._write(TERMINAL_EVENTS[response.status], response=response)]

    def replay(self, event: BaseEvent) -> None:
        """Take over an event that an earlier attempt wrote."""
        if event.sequence_number != self.next_sequence_number:
            raise IllegalEventError(
                f"event {event.sequence_number} follows event {self.next_sequence_number - 1}"
            )
        self._take(event)

    def _write(self, kind: type[E], **fields: Any) -> E:
        event = kind(sequence_number=self.next_sequence_number, **fields)
        self._take(event)
        return event

    def _take(self, event: BaseEvent) -> None:
        if isinstance(event, OutputItemAdded):
            self._take_item(event)
        elif isinstance(event, ItemEvent):
            self._check_running(event)
            self._draft(event.output_index).take(event)
        else:
            self._take_stream_event(event)
        self.next_sequence_number += 1

    def _take_item(self, event: OutputItemAdded) -> None:
        self._check_running(event)
        if event.output_index != len(self.drafts):
            raise IllegalEventError(
                f"item {event.output_index} follows item {len(self.drafts) - 1}"
            )
        if any(draft.item.status == "incomplete" for draft in self.drafts):
            raise IllegalEventError(f"{event.type} cannot come after an incomplete item")
        self.drafts.append(ItemState(event))

    def _take_stream_event(self, event: BaseEvent) -> None:
        following = STREAM_TABLE[self.state].get(event.type)
        if following is None:
            raise IllegalEventError(f"{event.type} cannot come in state {self.state.value!r}")
        if event.type != "response.failed" and following is _S.ENDED:
            self._check_items(event)
        self.state = following

    def _check_running(self, event: ItemEvent) -> None:
        if self.state is not _S.RUNNING:
            raise IllegalEventError(f"{event.type} cannot come in state {self.state.value!r}")

    def _check_items(self, event: BaseEvent) -> None:
        """A failed response may leave items open, no other."""
        for draft in self.drafts:
            if not draft.is_closed:
                raise IllegalEventError(
                    f"{event.type} cannot come in state {draft.state.value!r} of item {draft.index}"
                )
            if event.type == "response.completed" and draft.item.status == "incomplete":
                raise IllegalEventError(f"{event.type} cannot come after an incomplete item")

    def _draft(self, index: int) -> ItemState:
        if not 0 <= index < len(self.drafts):
            raise IllegalEventError(f"there is no item {index}")
        return self.drafts[index]
