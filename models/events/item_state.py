"""One output item while it is written: which event may follow which, and what they add up to.

Pure; a part of the event machine (`models/events/state_machine.py`), which numbers the events.
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
    """An event was written that may not come now; the message names event and state."""


class ItemStage(StrEnum):
    """How far the events of one item have come."""

    OPEN = "item_open"
    PART_OPEN = "part_open"
    TEXT_DONE = "text_done"
    SUMMARY_OPEN = "summary_open"
    SUMMARY_DONE = "summary_done"
    STARTED = "started"
    SEARCHING = "searching"
    READY = "ready"
    """Nothing is open in it; it may be done."""
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
    # A search that fails ends wherever it has come to.
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
"""Type of an item → what may follow in each state; events without their `response.`."""


class ItemState:
    """An item that has been added, and what its events have given it so far."""

    def __init__(self, added: OutputItemAdded) -> None:
        self.item: OutputItem = added.item
        """As it was added; once it is closed, as it is done."""
        self.index = added.output_index
        self.state = ItemStage.OPEN
        self.content: list[OutputText | ReasoningText] = []
        self.summary: list[SummaryText] = []
        self.annotations: list[UrlCitation] = []
        self.logprobs: list[TokenLogprob] = []
        self.num_written = 0
        """Characters of its text or arguments, a summary left out."""
        self._pieces: list[str] = []

    @property
    def is_closed(self) -> bool:
        """Whether the item has its final form."""
        return self.state is ItemStage.CLOSED

    @property
    def text(self) -> str:
        """The text of the part, or the arguments, that came last."""
        return "".join(self._pieces)

    def take(self, event: ItemEvent) -> None:
        """Check that an event may come now, and add what it says."""
        name = event.type.removeprefix("response.")
        following = ITEM_TABLES[self.item.type].get(self.state, {}).get(name)
        if following is None:
            raise IllegalEventError(
                f"{event.type} cannot come in state {self.state.value!r} of item {self.index}"
            )
        self.state = following
        self._fold(event)

    def _fold(self, event: ItemEvent) -> None:
        match event:
            case OutputTextDelta():
                self._add(event.delta)
                self.logprobs += event.logprobs
            case ReasoningDelta() | ArgumentsDelta():
                self._add(event.delta)
            case SummaryTextDelta():
                self._pieces.append(event.delta)
            case AnnotationAdded():
                self.annotations.append(event.annotation)
            case ContentPartAdded() | SummaryPartAdded():
                self._pieces = []
            case ContentPartDone():
                self.content.append(event.part)
            case SummaryPartDone():
                self.summary.append(event.part)
            case OutputItemDone():
                self.item = event.item
            case _:
                pass

    def _add(self, delta: str) -> None:
        self._pieces.append(delta)
        self.num_written += len(delta)
