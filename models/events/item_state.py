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
    CALLING = "calling"
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
_MCP_LIST_TOOLS: _Table = {
    _S.OPEN: {"mcp_list_tools.in_progress": _S.STARTED},
    # A list that is cut off is closed before it has completed or failed, and so is a call.
    _S.STARTED: {
        "mcp_list_tools.completed": _S.READY,
        "mcp_list_tools.failed": _S.READY,
        "output_item.done": _S.CLOSED,
    },
    _S.READY: {"output_item.done": _S.CLOSED},
}
_MCP_CALL: _Table = {
    _S.OPEN: {"mcp_call.in_progress": _S.STARTED},
    _S.STARTED: {
        "mcp_call_arguments.delta": _S.STARTED,
        "mcp_call_arguments.done": _S.CALLING,
    },
    _S.CALLING: {
        "mcp_call.completed": _S.READY,
        "mcp_call.failed": _S.READY,
        "output_item.done": _S.CLOSED,
    },
    _S.READY: {"output_item.done": _S.CLOSED},
}
_MCP_APPROVAL_REQUEST: _Table = {_S.OPEN: {"output_item.done": _S.CLOSED}}
ITEM_TABLES: dict[str, _Table] = {
    "message": _MESSAGE,
    "function_call": _FUNCTION_CALL,
    "custom_tool_call": _CUSTOM_TOOL_CALL,
    "tool_search_call": _TOOL_SEARCH_CALL,
    "reasoning": _REASONING,
    "web_search_call": _WEB_SEARCH_CALL,
    "compaction": _COMPACTION,
    "mcp_list_tools": _MCP_LIST_TOOLS,
    "mcp_call": _MCP_CALL,
    "mcp_approval_request": _MCP_APPROVAL_REQUEST,
}
"""Type of an item → stage → event that may follow, without its prefix `response.` → next stage."""
_ORDER = (
    _S.OPEN,
    _S.STARTED,
    _S.SEARCHING,
    _S.CALLING,
    _S.READY,
    _S.CLOSED,
)
"""Order of the stages of items of tools that the server runs."""


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
    def is_incomplete(self) -> bool:
        """Return True if the item was cut off; some items have no status."""
        return getattr(self.item, "status", None) == "incomplete"

    def has_had(self, event_type: str) -> bool:
        """Return True if the item of a tool that the server runs is past an event."""
        name = event_type.removeprefix("response.")
        table = ITEM_TABLES[self.item.type]
        leads_to = next(stages[name] for stages in table.values() if name in stages)
        return _ORDER.index(self.stage) >= _ORDER.index(leads_to)

    @property
    def text(self) -> str:
        """Text of the latest part (content or summary), or the arguments or input."""
        return "".join(self.deltas)
