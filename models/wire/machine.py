"""The event machine: which event may follow which, and the snapshot that events add up to.

Rule 1: everything that decides the legality of an event is in this file. No I/O, no clock, no
database: what the machine needs to know it is told. Rule 2: the machine numbers the events, so a
number is never burnt: an event that was refused has none.

Specification §4, "Order": created → [queued] → in_progress → per item: item added → part added →
delta* → text done → part done → item done → one terminal event.
"""

from enum import StrEnum
from typing import Any, TypeVar

from models.wire.events import (
    TERMINAL_EVENTS,
    BaseEvent,
    ContentPartAdded,
    ContentPartDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ResponseCreated,
    ResponseInProgress,
    ResponseQueued,
)
from models.wire.items import ItemStatus, OutputMessage, OutputText
from models.wire.response import ResponseResource


class StreamState(StrEnum):
    """How far the stream of one response has come."""

    NEW = "new"
    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    ITEM_OPEN = "item_open"
    PART_OPEN = "part_open"
    TEXT_DONE = "text_done"
    PART_DONE = "part_done"
    ENDED = "ended"


E = TypeVar("E", bound=BaseEvent)
_S = StreamState

EVENT_TABLE: dict[StreamState, dict[str, StreamState]] = {
    _S.NEW: {"response.created": _S.CREATED},
    _S.CREATED: {"response.queued": _S.QUEUED, "response.in_progress": _S.RUNNING},
    _S.QUEUED: {"response.in_progress": _S.RUNNING},
    _S.RUNNING: {"response.output_item.added": _S.ITEM_OPEN},
    _S.ITEM_OPEN: {"response.content_part.added": _S.PART_OPEN},
    _S.PART_OPEN: {
        "response.output_text.delta": _S.PART_OPEN,
        "response.output_text.done": _S.TEXT_DONE,
    },
    _S.TEXT_DONE: {"response.content_part.done": _S.PART_DONE},
    _S.PART_DONE: {"response.output_item.done": _S.RUNNING},
    _S.ENDED: {},
}
for _state in (_S.CREATED, _S.QUEUED, _S.RUNNING):
    EVENT_TABLE[_state] |= dict.fromkeys(("response.completed", "response.incomplete"), _S.ENDED)
for _state in set(_S) - {_S.NEW, _S.ENDED}:
    EVENT_TABLE[_state] |= {"response.failed": _S.ENDED}


class IllegalEventError(Exception):
    """An event was written that may not come now; the message names event and state."""


class EventMachine:
    """Makes the events of one response, in legal order, numbered from 0 without gaps."""

    def __init__(self) -> None:
        self.state = StreamState.NEW
        self.next_sequence_number = 0
        self.output: list[OutputMessage] = []
        self._text: list[str] = []

    @property
    def is_part_open(self) -> bool:
        """Whether text can be added now."""
        return self.state is StreamState.PART_OPEN

    @property
    def text(self) -> str:
        """The text of the open part so far."""
        return "".join(self._text)

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

    def open_message(self, item_id: str) -> list[BaseEvent]:
        """Start a message with one text part."""
        index = len(self.output)
        item = OutputMessage(id=item_id, status="in_progress", content=[])
        events: list[BaseEvent] = [self._write(OutputItemAdded, output_index=index, item=item)]
        self.output.append(item)
        self._text = []
        part = OutputText(text="")
        events.append(self._write(ContentPartAdded, **self._place(), part=part))
        return events

    def add_text(self, delta: str) -> list[BaseEvent]:
        """More text in the open part."""
        event = self._write(OutputTextDelta, **self._place(), delta=delta)
        self._text.append(delta)
        return [event]

    def close_message(self, status: ItemStatus) -> list[BaseEvent]:
        """End the open part and its message."""
        part = OutputText(text=self.text)
        events: list[BaseEvent] = [
            self._write(OutputTextDone, **self._place(), text=part.text),
            self._write(ContentPartDone, **self._place(), part=part),
        ]
        item = self.output[-1].model_copy(update={"status": status, "content": [part]})
        index = len(self.output) - 1
        events.append(self._write(OutputItemDone, output_index=index, item=item))
        self.output[-1] = item
        return events

    def end(self, response: ResponseResource) -> list[BaseEvent]:
        """The terminal event that belongs to the response's status."""
        return [self._write(TERMINAL_EVENTS[response.status], response=response)]

    def replay(self, event: BaseEvent) -> None:
        """Take over an event that an earlier attempt wrote."""
        if event.sequence_number != self.next_sequence_number:
            raise IllegalEventError(
                f"event {event.sequence_number} follows event {self.next_sequence_number - 1}"
            )
        self._advance(event.type)
        match event:
            case OutputItemAdded():
                self.output.append(event.item)
                self._text = []
            case OutputTextDelta():
                self._text.append(event.delta)
            case OutputItemDone():
                self.output[-1] = event.item
            case _:
                pass

    def _place(self) -> dict[str, Any]:
        if not self.output:
            raise IllegalEventError(f"no item is open in state {self.state!r}")
        return {
            "item_id": self.output[-1].id,
            "output_index": len(self.output) - 1,
            "content_index": 0,
        }

    def _write(self, kind: type[E], **fields: Any) -> E:
        event = kind(sequence_number=self.next_sequence_number, **fields)
        self._advance(event.type)
        return event

    def _advance(self, event_type: str) -> None:
        following = EVENT_TABLE[self.state].get(event_type)
        if following is None:
            raise IllegalEventError(f"{event_type} cannot come in state {self.state!r}")
        self.state = following
        self.next_sequence_number += 1
