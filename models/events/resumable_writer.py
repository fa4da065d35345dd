"""What one generation says, written into the record as items, each piece once.

A later attempt rewinds and says again what an earlier one has said, from its first token on; what
is on record is passed over, and writing goes on where the record ends.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from models.events.item_builder import ItemBuilder, ItemEnd
from models.events.item_state import ItemStage
from models.ids import call_id_of, choice_of, output_item_id
from models.schemas.item_events import (
    BaseEvent,
    SearchCompleted,
    SearchEvent,
    SearchInProgress,
    SearchSearching,
)
from models.schemas.parts import TokenLogprob, UrlCitation

Record = Callable[[Sequence[BaseEvent], Sequence[int]], None]
"""Takes events with the tokens that they came from."""

_SEARCH_STATES = (
    ItemStage.OPEN,
    ItemStage.STARTED,
    ItemStage.SEARCHING,
    ItemStage.READY,
    ItemStage.CLOSED,
)
_PASSED: dict[type[SearchEvent], int] = {
    SearchInProgress: 1,
    SearchSearching: 2,
    SearchCompleted: 3,
}
"""Where in the states of a search an event leads."""


class ResumableWriter:
    """Writes the items of one choice, one after the other; other choices' may lie in between."""

    def __init__(
        self, response_id: UUID, machine: ItemBuilder, record: Record, *, choice: int
    ) -> None:
        """A writer that goes on where the record of its choice ends."""
        self._response_id = response_id
        self._machine = machine
        self._record = record
        self._choice = choice
        output = machine.output
        self._indexes = [i for i, item in enumerate(output) if choice_of(item.id) == choice]
        """Where in the output the items of this choice are."""
        self._place = len(self._indexes) - 1
        """The item that is being said, as a position in `_indexes`."""
        last = machine.drafts[self._indexes[-1]] if self._indexes else None
        self._kind: str = last.item.type if last and not last.is_closed else ""
        """Its type; empty between items."""
        self._num_said = last.num_written if last else 0
        """Characters of it that have been said."""
        self._num_cited = len(last.annotations) if last else 0
        """Its annotations that have been said."""
        self._tokens: list[int] = []
        self._logprobs: list[TokenLogprob] = []

    def rewind(self) -> None:
        """What is said next is said from the beginning, by the next attempt."""
        self._place, self._kind = -1, ""
        self._num_said = self._num_cited = 0

    def note(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprob] = ()) -> None:
        """Tokens that what is said next comes from; they are kept until there is an event.

        Log probabilities are shown with text, and with nothing else.
        """
        self._tokens += token_ids
        self._logprobs += logprobs

    def add_text(self, delta: str) -> None:
        """Text of a message, the open one or a new one."""
        events = self._enter("message")
        if new := self._unsaid(delta):
            events += self._machine.add_text(self._index, new, self._logprobs)
        self._write(events)

    def add_reasoning(self, delta: str) -> None:
        """Text of a reasoning item, the open one or a new one."""
        events = self._enter("reasoning")
        if new := self._unsaid(delta):
            events += self._machine.add_reasoning(self._index, new)
        self._write(events)

    def open_call(self, name: str) -> None:
        """A function call begins."""
        self.close()
        self._write(self._enter("function_call", name=name))

    def add_arguments(self, delta: str) -> None:
        """More arguments of the open call."""
        if new := self._unsaid(delta):
            self._write(self._machine.add_arguments(self._index, new))

    def add_annotation(self, annotation: UrlCitation) -> None:
        """Where a passage of the open message comes from."""
        self._num_cited += 1
        if self._num_cited > len(self._machine.drafts[self._index].annotations):
            self._write(self._machine.add_annotation(self._index, annotation))

    def open_search(self, action: dict[str, Any]) -> None:
        """A search of the web begins."""
        self.close()
        self._write(self._enter("web_search_call", action=action))

    def advance_search(self, kind: type[SearchEvent]) -> None:
        """The open search has come one step further."""
        if _PASSED[kind] > _SEARCH_STATES.index(self._machine.drafts[self._index].state):
            self._write(self._machine.advance_search(self._index, kind))

    def close(self, status: ItemEnd = "completed", **changes: Any) -> None:
        """End the open item, if one is; `changes` are other fields of its final form."""
        self._write(self._closing(status, **changes))

    @property
    def _index(self) -> int:
        return self._indexes[self._place]

    def _closing(self, status: ItemEnd = "completed", **changes: Any) -> list[BaseEvent]:
        is_open = self._kind and not self._machine.drafts[self._index].is_closed
        self._kind = ""
        return self._machine.close(self._index, status, **changes) if is_open else []

    def _enter(self, kind: str, **fields: Any) -> list[BaseEvent]:
        """Be in an item of a type: the open one if it is of it, else the next."""
        if self._kind == kind:
            return []
        events = self._closing()
        self._place += 1
        self._kind, self._num_said, self._num_cited = kind, 0, 0
        if self._place < len(self._indexes):
            return events
        self._indexes.append(len(self._machine.drafts))
        return events + self._open(kind, fields)

    def _open(self, kind: str, fields: dict[str, Any]) -> list[BaseEvent]:
        item_id = output_item_id(kind, self._response_id, self._place, self._choice)
        match kind:
            case "message":
                return self._machine.open_message(item_id)
            case "reasoning":
                return self._machine.open_reasoning(item_id)
            case "function_call":
                return self._machine.open_call(item_id, call_id=call_id_of(item_id), **fields)
            case _:
                return self._machine.open_search(item_id, **fields)

    def _unsaid(self, delta: str) -> str:
        """What of a delta is not on record."""
        num_on_record = self._machine.drafts[self._index].num_written - self._num_said
        self._num_said += len(delta)
        return delta[max(0, num_on_record) :]

    def _write(self, events: Sequence[BaseEvent]) -> None:
        if events:
            self._record(events, tuple(self._tokens))
            self._tokens.clear()
            self._logprobs.clear()
