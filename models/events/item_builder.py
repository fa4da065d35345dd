"""The events that write one item, from its beginning to its end: the writing half of the machine.

Every item has its own place, its output index; any number are written at the same time.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from models.events.item_state import IllegalEventError, ItemStage, ItemState
from models.events.reasoning_extras import ReasoningExtras
from models.schemas.item_events import (
    AnnotationAdded,
    ArgumentsDelta,
    ArgumentsDone,
    BaseEvent,
    ContentPartAdded,
    ContentPartDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningDelta,
    ReasoningDone,
    SearchEvent,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from models.schemas.output import (
    FunctionCall,
    OutputItem,
    OutputMessage,
    Reasoning,
    WebSearchCall,
)
from models.schemas.parts import OutputText, ReasoningText, SummaryText, TokenLogprob, UrlCitation
from models.schemas.strict import ItemStatus

E = TypeVar("E", bound=BaseEvent)
ItemEnd = ItemStatus | Literal["failed"]
"""The status of an item that has ended; a search may fail."""


class ItemBuilder(ABC):
    """What the machine can be asked to write of items."""

    drafts: list[ItemState]
    _reasoning_extras: ReasoningExtras

    @abstractmethod
    def _write(self, kind: type[E], **fields: Any) -> E: ...

    @abstractmethod
    def _draft(self, index: int) -> ItemState: ...

    @property
    def output(self) -> list[OutputItem]:
        """The items by output index; one that is not closed is as it was added."""
        return [draft.item for draft in self.drafts]

    def open_message(
        self, item_id: str, *, phase: Literal["commentary", "final_answer"] | None = None
    ) -> list[BaseEvent]:
        """Start a message with one text part, at the next output index."""
        item = OutputMessage(id=item_id, status="in_progress", content=[], phase=phase)
        return [*self._add(item), self._add_part(OutputText(text=""))]

    def open_reasoning(self, item_id: str) -> list[BaseEvent]:
        """Start a reasoning item with one text part."""
        item = Reasoning(id=item_id, status="in_progress")
        return [*self._add(item), self._add_part(ReasoningText(text=""))]

    def open_call(self, item_id: str, *, call_id: str, name: str) -> list[BaseEvent]:
        """Start a function call."""
        item = FunctionCall(
            id=item_id, call_id=call_id, name=name, arguments="", status="in_progress"
        )
        return self._add(item)

    def open_search(self, item_id: str, *, action: dict[str, Any] | None) -> list[BaseEvent]:
        """Start a search of the web."""
        return self._add(WebSearchCall(id=item_id, status="in_progress", action=action))

    def add_text(
        self, index: int, delta: str, logprobs: Sequence[TokenLogprob] = ()
    ) -> list[BaseEvent]:
        """More text of a message."""
        place = self._part_place(index)
        return [self._write(OutputTextDelta, **place, delta=delta, logprobs=list(logprobs))]

    def add_annotation(self, index: int, annotation: UrlCitation) -> list[BaseEvent]:
        """Where a passage of a message's text comes from."""
        place = self._part_place(index)
        number = len(self._draft(index).annotations)
        return [
            self._write(AnnotationAdded, **place, annotation_index=number, annotation=annotation)
        ]

    def add_reasoning(self, index: int, delta: str) -> list[BaseEvent]:
        """More text of a reasoning item."""
        return [self._write(ReasoningDelta, **self._part_place(index), delta=delta)]

    def add_arguments(self, index: int, delta: str) -> list[BaseEvent]:
        """More of a call's arguments."""
        return [self._write(ArgumentsDelta, **self._place(index), delta=delta)]

    def advance_search(self, index: int, kind: type[SearchEvent]) -> list[BaseEvent]:
        """A search has come one step further."""
        return [self._write(kind, **self._place(index))]

    def summarise(self, index: int, text: str) -> list[BaseEvent]:
        """Add a part to the summary of a reasoning item, whose text it ends."""
        if not isinstance(self._draft(index).item, Reasoning):
            raise IllegalEventError(f"item {index} is not reasoning")
        events = self._end_part(index)
        place = self._place(index) | {"summary_index": len(self._draft(index).summary)}
        return [
            *events,
            self._write(SummaryPartAdded, **place, part=SummaryText(text="")),
            self._write(SummaryTextDelta, **place, delta=text),
            self._write(SummaryTextDone, **place, text=text),
            self._write(SummaryPartDone, **place, part=SummaryText(text=text)),
        ]

    def close(self, index: int, status: ItemEnd, **changes: Any) -> list[BaseEvent]:
        """End an item and what is open in it; `changes` are other fields of its final form."""
        draft = self._draft(index)
        events = self._end_part(index)
        match draft.item:
            case FunctionCall():
                changes |= {"arguments": draft.text}
            case Reasoning():
                events += self._summarise(index, status)
                changes |= {"content": list(draft.content), "summary": list(draft.summary)}
                changes |= self._sealed(draft)
            case OutputMessage():
                changes |= {"content": list(draft.content)}
            case WebSearchCall():
                pass
        item = draft.item.model_copy(update={"status": status, **changes})
        return [*events, self._write(OutputItemDone, output_index=index, item=item)]

    def _summarise(self, index: int, status: ItemEnd) -> list[BaseEvent]:
        summarise, draft = self._reasoning_extras.summarise, self._draft(index)
        if summarise is None or status != "completed" or draft.summary:
            return []
        return self.summarise(index, summarise(draft.text))

    def _sealed(self, draft: ItemState) -> dict[str, str]:
        if self._reasoning_extras.encrypt is None:
            return {}
        thought = "".join(part.text for part in draft.content)
        return {"encrypted_content": self._reasoning_extras.encrypt(thought)}

    def _add(self, item: Any) -> list[BaseEvent]:
        return [self._write(OutputItemAdded, output_index=len(self.drafts), item=item)]

    def _add_part(self, part: OutputText | ReasoningText) -> BaseEvent:
        return self._write(ContentPartAdded, **self._part_place(len(self.drafts) - 1), part=part)

    def _end_part(self, index: int) -> list[BaseEvent]:
        """End the text, or the arguments, that are open in an item, if any are."""
        draft = self._draft(index)
        match draft.item.type, draft.state:
            case "function_call", ItemStage.OPEN:
                return [self._write(ArgumentsDone, **self._place(index), arguments=draft.text)]
            case "message", ItemStage.PART_OPEN:
                part: OutputText | ReasoningText = OutputText(
                    text=draft.text,
                    annotations=list(draft.annotations),
                    logprobs=list(draft.logprobs),
                )
                fields = {"text": draft.text, "logprobs": list(draft.logprobs)}
                done: type[BaseEvent] = OutputTextDone
            case "reasoning", ItemStage.PART_OPEN:
                part, fields = ReasoningText(text=draft.text), {"text": draft.text}
                done = ReasoningDone
            case _:
                return []
        place = self._part_place(index)
        return [
            self._write(done, **place, **fields),
            self._write(ContentPartDone, **place, part=part),
        ]

    def _place(self, index: int) -> dict[str, Any]:
        return {"item_id": self._draft(index).item.id, "output_index": index}

    def _part_place(self, index: int) -> dict[str, Any]:
        return self._place(index) | {"content_index": len(self._draft(index).content)}
