"""State machine of one output item: the legal order of its events, and their accumulated content.

No I/O. The event machine (`models/events/state_machine.py`) has one per item and numbers its
events.
"""

from enum import StrEnum

from models.schemas.item_events import (
    AnnotationAdded,
    ArgumentsDelta,
    ContentPartAdded,
    ContentPartDone,
    ItemEvent,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReasoningDelta,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
)
from models.schemas.output import OutputItem
from models.schemas.parts import OutputText, ReasoningText, SummaryText, TokenLogprob, UrlCitation


class IllegalEventError(Exception):
    """An event is illegal in the current state; the message names both."""


class ItemStage(StrEnum):
    """Stage of one item, which determines the events that may follow."""

    OPEN = "item_open"
    PART_OPEN = "part_open"
    TEXT_DONE = "text_done"
    SUMMARY_OPEN = "summary_open"
    SUMMARY_DONE = "summary_done"
    STARTED = "started"
    SEARCHING = "searching"
    READY = "ready"
    """Every part is complete; the item may be closed."""
    CLOSED = "closed"


_S = ItemStage
_Table = dict[ItemStage, dict[str, ItemStage]]

_MESSAGE: _Table = {
    _S.OPEN: {"content_part.added": _S.PART_OPEN},
    _S.PART_OPEN: {
        "output_text.delta": _S.PART_OPEN,
        "output_text.annotation.added": _S.PART_OPEN,
        "output_text.done": _S.TEXT_DONE,
    },
    _S.TEXT_DONE: {"content_part.done": _S.READY},
    _S.READY: {"output_item.done": _S.CLOSED},
}
_FUNCTION_CALL: _Table = {
    _S.OPEN: {
        "function_call_arguments.delta": _S.OPEN,
        "function_call_arguments.done": _S.READY,
    },
    _S.READY: {"output_item.done": _S.CLOSED},
}
_REASONING: _Table = {
    _S.OPEN: {"content_part.added": _S.PART_OPEN},
    _S.PART_OPEN: {"reasoning.delta": _S.PART_OPEN, "reasoning.done": _S.TEXT_DONE},
    _S.TEXT_DONE: {"content_part.done": _S.READY},
    _S.READY: {
        "reasoning_summary_part.added": _S.SUMMARY_OPEN,
        "output_item.done": _S.CLOSED,
    },
    _S.SUMMARY_OPEN: {
        "reasoning_summary_text.delta": _S.SUMMARY_OPEN,
        "reasoning_summary_text.done": _S.SUMMARY_DONE,
    },
    _S.SUMMARY_DONE: {"reasoning_summary_part.done": _S.READY},
}
_WEB_SEARCH_CALL: _Table = {
    _S.OPEN: {"web_search_call.in_progress": _S.STARTED},
    # A search that fails is closed at whichever stage it has reached.
    _S.STARTED: {"web_search_call.searching": _S.SEARCHING, "output_item.done": _S.CLOSED},
    _S.SEARCHING: {"web_search_call.completed": _S.READY, "output_item.done": _S.CLOSED},
    _S.READY: {"output_item.done": _S.CLOSED},
}
ITEM_TABLES: dict[str, _Table] = {
    "message": _MESSAGE,
    "function_call": _FUNCTION_CALL,
    "reasoning": _REASONING,
    "web_search_call": _WEB_SEARCH_CALL,
}
"""Type of an item → stage → event that may follow, without its prefix `response.` → next stage."""


class ItemState:
    """One item of the output, with the content that its events have added so far."""

    def __init__(self, added: OutputItemAdded) -> None:
        self.item: OutputItem = added.item
        """The item as it was added; once closed, in its final form."""
        self.index = added.output_index
        self.stage = ItemStage.OPEN
        self.content: list[OutputText | ReasoningText] = []
        self.summary: list[SummaryText] = []
        self.annotations: list[UrlCitation] = []
        self.logprobs: list[TokenLogprob] = []
        self.num_chars = 0
        """Characters of its text or arguments, without the summary."""
        self._deltas: list[str] = []

    @property
    def is_closed(self) -> bool:
        """Return True if the item has its final form."""
        return self.stage is ItemStage.CLOSED

    @property
    def text(self) -> str:
        """Text of the latest part (content or summary), or the arguments."""
        return "".join(self._deltas)

    def apply(self, event: ItemEvent) -> None:
        """Add an event's content and advance the stage.

        Raises `IllegalEventError`, and changes nothing, if the event may not follow now.
        """
        name = event.type.removeprefix("response.")
        next_stage = ITEM_TABLES[self.item.type].get(self.stage, {}).get(name)
        if next_stage is None:
            raise IllegalEventError(
                f"{event.type} cannot come in state {self.stage.value!r} of item {self.index}"
            )
        self.stage = next_stage
        self._accumulate(event)

    def _accumulate(self, event: ItemEvent) -> None:
        match event:
            case OutputTextDelta():
                self._add_delta(event.delta)
                self.logprobs += event.logprobs
            case ReasoningDelta() | ArgumentsDelta():
                self._add_delta(event.delta)
            case SummaryTextDelta():
                self._deltas.append(event.delta)
            case AnnotationAdded():
                self.annotations.append(event.annotation)
            case ContentPartAdded() | SummaryPartAdded():
                self._deltas = []
            case ContentPartDone():
                self.content.append(event.part)
            case SummaryPartDone():
                self.summary.append(event.part)
            case OutputItemDone():
                self.item = event.item
            case _:
                pass

    def _add_delta(self, delta: str) -> None:
        self._deltas.append(delta)
        self.num_chars += len(delta)
