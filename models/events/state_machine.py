"""The event machine: the legal order of a response's events, and the output they accumulate.

Rule 1: everything that decides the legality of an event is here and in
`models/events/item_machine.py`. No I/O, no clock, no database: everything the machine needs is
passed in. Rule 2: the machine numbers the events and a refused event takes no number, so the
numbers have no gaps.

Specification §4, "Order": created → [queued] → in_progress → the events of the items → one terminal
event. Several items may be open at a time, each with its own order of events. Once an item has
ended incomplete, none may be added and the response cannot complete.
"""

from typing import Any, TypeVar

from models.events.item_builder import ItemBuilder
from models.events.item_state import IllegalEventError, StreamState
from models.events.reasoning_extras import ReasoningExtras
from models.schemas.event_types import BaseEvent, ItemEvent
from models.schemas.events import (
    TERMINAL_EVENTS,
    ResponseCreated,
    ResponseInProgress,
    ResponseQueued,
)
from models.schemas.response import ResponseResource

E = TypeVar("E", bound=BaseEvent)
_S = StreamState
_EARLY_ENDS = {"response.incomplete": _S.ENDED, "response.failed": _S.ENDED}

STREAM_TABLE: dict[StreamState, dict[str, StreamState]] = {
    _S.NEW: {"response.created": _S.CREATED},
    _S.CREATED: {"response.queued": _S.QUEUED, "response.in_progress": _S.RUNNING, **_EARLY_ENDS},
    _S.QUEUED: {"response.in_progress": _S.RUNNING, **_EARLY_ENDS},
    _S.RUNNING: {"response.completed": _S.ENDED, **_EARLY_ENDS},
    _S.ENDED: {},
}
"""State → event that belongs to no item → next state."""


class EventMachine(ItemBuilder):
    """Generator of the events of one response, in legal order, numbered from 0 without gaps."""

    def __init__(self, reasoning_extras: ReasoningExtras | None = None) -> None:
        """`reasoning_extras`: the optional fields of complete reasoning items; None for none."""
        super().__init__()
        self._reasoning_extras = reasoning_extras or ReasoningExtras()

    def open_stream(self, response: ResponseResource) -> list[BaseEvent]:
        """Generate the opening events, which depend on the response's row alone.

        Only a background response is announced as queued: the client of a foreground one waits on
        this connection and, as in OpenAI's streams, sees it in progress from the start.
        """
        created = self._write(ResponseCreated, response=response)
        if not response.background:
            return [created]
        return [created, self._write(ResponseQueued, response=response)]

    def begin(self, response: ResponseResource) -> list[BaseEvent]:
        """Generate `response.in_progress`: a worker has claimed the response."""
        return [self._write(ResponseInProgress, response=response)]

    def end(self, response: ResponseResource) -> list[BaseEvent]:
        """Generate the terminal event for the response's status."""
        return [self._write(TERMINAL_EVENTS[response.status], response=response)]

    def replay(self, event: BaseEvent) -> None:
        """Apply an event that an earlier attempt generated.

        Raises `IllegalEventError` if its number is not the next one or it may not follow now.
        """
        if event.sequence_number != self.next_sequence_number:
            raise IllegalEventError(
                f"event {event.sequence_number} follows event {self.next_sequence_number - 1}"
            )
        self._apply(event)

    def _apply(self, event: BaseEvent) -> None:
        if isinstance(event, ItemEvent):
            self._apply_item_event(event)
        else:
            self._apply_stream_event(event)

    def _write(self, kind: type[E], **fields: Any) -> E:
        event = kind(sequence_number=self.next_sequence_number, **fields)
        self._apply_stream_event(event)
        return event

    def _apply_stream_event(self, event: BaseEvent) -> None:
        next_state = STREAM_TABLE[self.state].get(event.type)
        if next_state is None:
            raise IllegalEventError(f"{event.type} cannot come in state {self.state.value!r}")
        if event.type != "response.failed" and next_state is _S.ENDED:
            self._check_items(event)
        self.state = next_state
        self.next_sequence_number += 1

    def _check_items(self, event: BaseEvent) -> None:
        """Raise if an item is open or, for a completed response, incomplete."""
        for item_state in self.item_states:
            if not item_state.is_closed:
                raise IllegalEventError(
                    f"{event.type} cannot come in state {item_state.stage.value!r} "
                    f"of item {item_state.index}"
                )
            if event.type == "response.completed" and item_state.is_incomplete:
                raise IllegalEventError(f"{event.type} cannot come after an incomplete item")
