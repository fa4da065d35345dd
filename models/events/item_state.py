"""States of a response's stream and of its items: tables of legal events, accumulated content.

No I/O. The machine that applies events is in `models/events/item_machine.py` and
`models/events/state_machine.py`.
"""

from enum import StrEnum

from models.schemas.output import OutputItem
from models.schemas.parts import OutputText, ReasoningText, SummaryText, TokenLogprob, UrlCitation


class IllegalEventError(Exception):
    """An event is illegal in the current state; the message names both."""


class StreamState(StrEnum):
    """State of one response's stream."""

    NEW = "new"
    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


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
_CUSTOM_TOOL_CALL: _Table = {
    _S.OPEN: {
        "custom_tool_call_input.delta": _S.OPEN,
        "custom_tool_call_input.done": _S.READY,
    },
    _S.READY: {"output_item.done": _S.CLOSED},
}
_TOOL_SEARCH_CALL: _Table = {_S.OPEN: {"output_item.done": _S.CLOSED}}
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
_COMPACTION: _Table = {_S.OPEN: {"output_item.done": _S.CLOSED}}
ITEM_TABLES: dict[str, _Table] = {
    "message": _MESSAGE,
    "function_call": _FUNCTION_CALL,
    "custom_tool_call": _CUSTOM_TOOL_CALL,
    "tool_search_call": _TOOL_SEARCH_CALL,
    "reasoning": _REASONING,
    "web_search_call": _WEB_SEARCH_CALL,
    "compaction": _COMPACTION,
}
"""Type of an item → stage → event that may follow, without its prefix `response.` → next stage."""


class ItemState:
    """One item of the output, with the content that its events have added so far."""

    def __init__(self, item: OutputItem, index: int) -> None:
        self.item = item
        """The item as it was added; once closed, in its final form."""
        self.index = index
        self.stage = ItemStage.OPEN
        self.content: list[OutputText | ReasoningText] = []
        self.summary: list[SummaryText] = []
        self.annotations: list[UrlCitation] = []
        self.logprobs: list[TokenLogprob] = []
        self.num_chars = 0
        """Characters of its text, arguments or input, without the summary."""
        self.deltas: list[str] = []
        """Deltas of the latest part (content or summary), or of the arguments or input."""

    @property
    def is_closed(self) -> bool:
        """Return True if the item has its final form."""
        return self.stage is ItemStage.CLOSED

    @property
    def text(self) -> str:
        """Text of the latest part (content or summary), or the arguments or input."""
        return "".join(self.deltas)
