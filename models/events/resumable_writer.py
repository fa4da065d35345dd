"""Writer that turns one generation's output into the events of items, each exactly once.

A later attempt rewinds the writer and repeats the output of the earlier ones from the first token
on. Output that is already recorded is skipped, and recording continues where the record ends.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from models.events.item_builder import ItemBuilder, ItemEnd, StepEvent
from models.ids import call_id_of, choice_of, output_item_id
from models.schemas.event_types import BaseEvent
from models.schemas.parts import TokenLogprob, UrlCitation
from models.schemas.tools.call_items import CallType, HostedType
from models.schemas.tools.mcp_items import McpArgumentsDone

RecordEvents = Callable[[Sequence[BaseEvent], Sequence[int]], None]
"""Function that records events, given with the ids of the tokens that they came from."""


class ResumableWriter:
    """Writer of the items of one choice, in sequence; items of other choices may lie in between."""

    def __init__(
        self, response_id: UUID, machine: ItemBuilder, record: RecordEvents, *, choice: int
    ) -> None:
        """Continue where the record of the choice ends."""
        self._response_id = response_id
        self._machine = machine
        self._record = record
        self._choice = choice
        output = machine.output
        self._indexes = [i for i, item in enumerate(output) if choice_of(item.id) == choice]
        """Output indexes of the items of this choice."""
        self._position = len(self._indexes) - 1
        """Position of the current item in `_indexes`."""
        last = machine.item_states[self._indexes[-1]] if self._indexes else None
        self._item_type: str = last.item.type if last and not last.is_closed else ""
        """Type of the current item; empty between items."""
        self._num_chars = last.num_chars if last else 0
        """Characters of the current item passed to the writer so far."""
        self._num_annotations = len(last.annotations) if last else 0
        """Annotations of the current item passed to the writer so far."""
        self._num_opening = 0
        """Number of items that come before the first token."""
        self._tokens: list[int] = []
        self._logprobs: list[TokenLogprob] = []

    def rewind(self) -> None:
        """Expect the output from its first token on, as a later attempt repeats it."""
        self._position, self._item_type = self._num_opening - 1, ""
        self._num_chars = self._num_annotations = 0

    def end_opening(self) -> None:
        """Note that the items so far come before the first token: `rewind` goes to their end."""
        self._num_opening = self._position + 1

    def add_tokens(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprob] = ()) -> None:
        """Attach tokens to the output that follows; they are held until the next event.

        Log probabilities are only shown with the text of messages.
        """
        self._tokens += token_ids
        self._logprobs += logprobs

    def add_text(self, delta: str) -> None:
        """Append text to the open message, or start one."""
        events = [] if self._item_type == "message" else self._switch_to("message")
        if new := self._skip_recorded(delta):
            events += self._machine.add_text(self._index, new, self._logprobs)
        self._write(events)

    def add_reasoning(self, delta: str) -> None:
        """Append text to the open reasoning item, or start one."""
        events = self._switch_to("reasoning")
        if new := self._skip_recorded(delta):
            events += self._machine.add_reasoning(self._index, new)
        self._write(events)

    def open_call(self, kind: CallType, **fields: Any) -> None:
        """Start a call that the client answers, after closing the open item."""
        self.close()
        self._write(self._switch_to(kind, **fields))

    def add_arguments(self, delta: str) -> None:
        """Append to the arguments of the open function call, or to the input of a custom tool."""
        if new := self._skip_recorded(delta):
            self._write(self._machine.add_arguments(self._index, new))

    def add_annotation(self, annotation: UrlCitation) -> None:
        """Add the citation of a passage to the open message."""
        self._num_annotations += 1
        if self._num_annotations > len(self._machine.item_states[self._index].annotations):
            self._write(self._machine.add_annotation(self._index, annotation))

    def open_hosted(self, kind: HostedType, **fields: Any) -> None:
        """Start an item of a tool that the server runs, after closing the open item."""
        self.close()
        self._write(self._switch_to(kind, **fields))

    def advance(self, kind: type[StepEvent]) -> None:
        """Add the event of the next step of the open item of a tool that the server runs."""
        if not self._machine.item_states[self._index].has_had(_type_of(kind)):
            self._write(self._machine.advance(self._index, kind))

    def end_arguments(self) -> None:
        """End the arguments of the open call that the server makes."""
        if not self._machine.item_states[self._index].has_had(_type_of(McpArgumentsDone)):
            self._write(self._machine.end_arguments(self._index))

    def close(self, status: ItemEnd = "completed", **changes: Any) -> None:
        """End the open item, if any; `changes` are further fields of the final item."""
        self._write(self._close_open_item(status, **changes))

    @property
    def _index(self) -> int:
        return self._indexes[self._position]

    def _close_open_item(self, status: ItemEnd = "completed", **changes: Any) -> list[BaseEvent]:
        is_open = self._item_type and not self._machine.item_states[self._index].is_closed
        self._item_type = ""
        return self._machine.close(self._index, status, **changes) if is_open else []

    def _switch_to(self, kind: str, **fields: Any) -> list[BaseEvent]:
        """Make an item of the type current: the open one if it matches, else the next.

        Returns the events that closed the open item and opened a new one.
        """
        if self._item_type == kind:
            return []
        events = self._close_open_item()
        self._position += 1
        self._item_type, self._num_chars, self._num_annotations = kind, 0, 0
        if self._position < len(self._indexes):
            return events
        self._indexes.append(len(self._machine.item_states))
        return events + self._open_item(kind, fields)

    def _open_item(self, kind: Any, fields: dict[str, Any]) -> list[BaseEvent]:
        item_id = output_item_id(kind, self._response_id, self._position, self._choice)
        match kind:
            case "message":
                return self._machine.open_message(item_id)
            case "reasoning":
                return self._machine.open_reasoning(item_id)
            case "web_search_call" | "mcp_list_tools" | "mcp_call" | "mcp_approval_request":
                return self._machine.open_hosted(item_id, kind, **fields)
            case _:
                call_id = call_id_of(item_id)
                return self._machine.open_call(item_id, call_id=call_id, kind=kind, **fields)

    def _skip_recorded(self, delta: str) -> str:
        """Return the part of a delta that is not recorded yet."""
        num_recorded = self._machine.item_states[self._index].num_chars - self._num_chars
        self._num_chars += len(delta)
        return delta[max(0, num_recorded) :]

    def _write(self, events: Sequence[BaseEvent]) -> None:
        if events:
            self._record(events, tuple(self._tokens))
            self._tokens.clear()
            self._logprobs.clear()


def _type_of(kind: type[BaseEvent]) -> str:
    """Return the type of an event, by its class."""
    return str(kind.model_fields["type"].default)
