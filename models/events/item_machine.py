"""Core of the event machine: numbers and applies the events of items, and generates their deltas.

Deltas are nearly all of the events, one for every token, so their way is short. The other events of
items are generated in `models/events/item_builder.py`.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from models.events.item_state import (
    ITEM_TABLES,
    IllegalEventError,
    ItemState,
    StreamState,
)
from models.schemas.event_types import BaseEvent, ItemEvent
from models.schemas.item_events import (
    AnnotationAdded,
    ArgumentsDelta,
    ContentPartAdded,
    ContentPartDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReasoningDelta,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
)
from models.schemas.output import OutputItem
from models.schemas.parts import TokenLogprob
from models.schemas.tools.custom import CustomInputDelta
from models.schemas.tools.mcp_items import McpArgumentsDelta

_ARGUMENTS: dict[str, type[ArgumentsDelta | CustomInputDelta | McpArgumentsDelta]] = {
    "function_call": ArgumentsDelta,
    "custom_tool_call": CustomInputDelta,
    "mcp_call": McpArgumentsDelta,
}
"""Delta of the arguments of each type of call."""

E = TypeVar("E", bound=ItemEvent)


class ItemMachine:
    """States of the items of one response, changed by nothing but legal events."""

    def __init__(self) -> None:
        self.state = StreamState.NEW
        self.next_sequence_number = 0
        self.item_states: list[ItemState] = []
        """States of the items, by output index."""

    @property
    def output(self) -> list[OutputItem]:
        """Items by output index; one that is not closed is as it was added."""
        return [item_state.item for item_state in self.item_states]

    def add_text(
        self, index: int, delta: str, logprobs: Sequence[TokenLogprob] = ()
    ) -> list[BaseEvent]:
        """Append text to a message."""
        fields = self._part_fields(index)
        return [self._write_item(OutputTextDelta, **fields, delta=delta, logprobs=list(logprobs))]

    def add_reasoning(self, index: int, delta: str) -> list[BaseEvent]:
        """Append text to a reasoning item."""
        return [self._write_item(ReasoningDelta, **self._part_fields(index), delta=delta)]

    def add_arguments(self, index: int, delta: str) -> list[BaseEvent]:
        """Append to the arguments of a call, or to the input of a custom tool."""
        kind = _ARGUMENTS.get(self._item_state(index).item.type, ArgumentsDelta)
        return [self._write_item(kind, **self._item_fields(index), delta=delta)]

    def _item_fields(self, index: int) -> dict[str, Any]:
        return {"item_id": self._item_state(index).item.id, "output_index": index}

    def _part_fields(self, index: int) -> dict[str, Any]:
        item_state = self._item_state(index)
        return {
            "item_id": item_state.item.id,
            "output_index": index,
            "content_index": len(item_state.content),
        }

    def _item_state(self, index: int) -> ItemState:
        if not 0 <= index < len(self.item_states):
            raise IllegalEventError(f"there is no item {index}")
        return self.item_states[index]

    def _write_item(self, kind: type[E], **fields: Any) -> E:
        event = kind(sequence_number=self.next_sequence_number, **fields)
        self._apply_item_event(event)
        return event

    def _apply_item_event(self, event: ItemEvent) -> None:
        """Advance the stage of an item and add the event's content to it.

        Raises `IllegalEventError`, and changes nothing, if the event may not follow now.
        """
        if self.state is not StreamState.RUNNING:
            raise IllegalEventError(f"{event.type} cannot come in state {self.state.value!r}")
        if isinstance(event, OutputItemAdded):
            self._add_item(event)
        else:
            item_state = self._item_state(event.output_index)
            name = event.type.removeprefix("response.")
            stage = ITEM_TABLES[item_state.item.type].get(item_state.stage, {}).get(name)
            if stage is None:
                raise IllegalEventError(
                    f"{event.type} cannot come in state {item_state.stage.value!r} "
                    f"of item {item_state.index}"
                )
            item_state.stage = stage
            _accumulate(item_state, event)
        self.next_sequence_number += 1

    def _add_item(self, event: OutputItemAdded) -> None:
        if event.output_index != len(self.item_states):
            raise IllegalEventError(
                f"item {event.output_index} follows item {len(self.item_states) - 1}"
            )
        if any(item_state.is_incomplete for item_state in self.item_states):
            raise IllegalEventError(f"{event.type} cannot come after an incomplete item")
        self.item_states.append(ItemState(event.item, event.output_index))


def _accumulate(item_state: ItemState, event: ItemEvent) -> None:
    match event:
        case OutputTextDelta():
            item_state.deltas.append(event.delta)
            item_state.num_chars += len(event.delta)
            item_state.logprobs += event.logprobs
        case ReasoningDelta() | ArgumentsDelta() | CustomInputDelta() | McpArgumentsDelta():
            item_state.deltas.append(event.delta)
            item_state.num_chars += len(event.delta)
        case SummaryTextDelta():
            item_state.deltas.append(event.delta)
        case AnnotationAdded():
            item_state.annotations.append(event.annotation)
        case ContentPartAdded() | SummaryPartAdded():
            item_state.deltas = []
        case ContentPartDone():
            item_state.content.append(event.part)
        case SummaryPartDone():
            item_state.summary.append(event.part)
        case OutputItemDone():
            item_state.item = event.item
        case _:
            pass
