"""Base class of the event machine: methods that begin and end output items.

An item is addressed by its output index; any number may be open at the same time.
"""

from typing import Any, Literal

from models.events.item_machine import ItemMachine
from models.events.item_state import IllegalEventError, ItemStage, ItemState
from models.events.reasoning_extras import ReasoningExtras
from models.schemas.event_types import BaseEvent, ItemEvent
from models.schemas.item_events import (
    AnnotationAdded,
    ArgumentsDone,
    ContentPartAdded,
    ContentPartDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDone,
    ReasoningDone,
    SearchEvent,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from models.schemas.output import (
    Compaction,
    FunctionCall,
    OutputMessage,
    Reasoning,
    ToolSearchCall,
    WebSearchCall,
)
from models.schemas.parts import OutputText, ReasoningText, SummaryText, UrlCitation
from models.schemas.strict import ItemStatus
from models.schemas.tools.call_items import CallType, HostedType
from models.schemas.tools.custom import CustomInputDone, CustomToolCall
from models.schemas.tools.mcp_items import (
    McpApprovalRequest,
    McpArgumentsDone,
    McpCall,
    McpListTools,
    McpStepEvent,
)

ItemEnd = ItemStatus | Literal["failed"]
"""Status of an item that has ended; only what the server runs may fail."""

StepEvent = SearchEvent | McpStepEvent
"""Event of a step of a tool that the server runs."""

_CALLS: dict[CallType, tuple[type[Any], dict[str, Any]]] = {
    "function_call": (FunctionCall, {"arguments": ""}),
    "custom_tool_call": (CustomToolCall, {"input": ""}),
    "tool_search_call": (ToolSearchCall, {"arguments": {}}),
}
"""Class of each type of call, and its fields while nothing is generated of it."""

_HOSTED: dict[HostedType, tuple[type[Any], dict[str, Any]]] = {
    "web_search_call": (WebSearchCall, {"status": "in_progress"}),
    "mcp_list_tools": (McpListTools, {}),
    "mcp_call": (McpCall, {"status": "in_progress", "arguments": ""}),
    "mcp_approval_request": (McpApprovalRequest, {}),
}
"""Class of each of these items, and its fields to begin with."""
_NOT_LISTED = "The response ended before the tools were listed."


class ItemBuilder(ItemMachine):
    """Generator of the events of items: each method returns the events that it adds."""

    _reasoning_extras: ReasoningExtras

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

    def open_call(
        self, item_id: str, *, call_id: str, kind: CallType = "function_call", **fields: Any
    ) -> list[BaseEvent]:
        """Start a call that the client answers; `fields` say what is called."""
        item_type, empty = _CALLS[kind]
        call = item_type(id=item_id, call_id=call_id, status="in_progress", **empty, **fields)
        return self._add(call)

    def open_hosted(self, item_id: str, kind: HostedType, **fields: Any) -> list[BaseEvent]:
        """Start an item of a tool that the server runs; `fields` are those known by now."""
        item_type, empty = _HOSTED[kind]
        return self._add(item_type(id=item_id, **empty | fields))

    def open_compaction(self, item_id: str) -> list[BaseEvent]:
        """Start a compaction, which has its content when it is closed."""
        return self._add(Compaction(id=item_id, encrypted_content="", status="in_progress"))

    def add_annotation(self, index: int, annotation: UrlCitation) -> list[BaseEvent]:
        """Add the citation of a passage to a message."""
        fields = self._part_fields(index)
        number = len(self._item_state(index).annotations)
        return [
            self._write_item(
                AnnotationAdded, **fields, annotation_index=number, annotation=annotation
            )
        ]

    def advance(self, index: int, kind: type[StepEvent]) -> list[BaseEvent]:
        """Add the event of the next step of a tool that the server runs."""
        return [self._write_item(kind, **self._item_fields(index))]

    def end_arguments(self, index: int) -> list[BaseEvent]:
        """End the arguments of a call that the server makes, whose item stays open."""
        return self._end_part(index)

    def summarise(self, index: int, text: str) -> list[BaseEvent]:
        """Add a part to the summary of a reasoning item, and end the item's text before.

        Raises `IllegalEventError` if the item is not reasoning.
        """
        if not isinstance(self._item_state(index).item, Reasoning):
            raise IllegalEventError(f"item {index} is not reasoning")
        events = self._end_part(index)
        fields = self._item_fields(index) | {"summary_index": len(self._item_state(index).summary)}
        return [
            *events,
            self._write_item(SummaryPartAdded, **fields, part=SummaryText(text="")),
            self._write_item(SummaryTextDelta, **fields, delta=text),
            self._write_item(SummaryTextDone, **fields, text=text),
            self._write_item(SummaryPartDone, **fields, part=SummaryText(text=text)),
        ]

    def close(self, index: int, status: ItemEnd, **changes: Any) -> list[BaseEvent]:
        """End an item and its open part; `changes` are further fields of the final item."""
        item_state = self._item_state(index)
        events = self._end_part(index)
        match item_state.item:
            case FunctionCall() | McpCall():
                changes |= {"arguments": item_state.text}
            case McpListTools() if status != "completed":
                changes.setdefault("error", _NOT_LISTED)
            case McpListTools() | McpApprovalRequest():
                pass
            case CustomToolCall():
                changes |= {"input": item_state.text}
            case Reasoning():
                events += self._summarise(index, status)
                changes |= {
                    "content": list(item_state.content),
                    "summary": list(item_state.summary),
                }
                changes |= self._encrypt(item_state)
            case OutputMessage():
                changes |= {"content": list(item_state.content)}
            case WebSearchCall() | ToolSearchCall() | Compaction():
                pass
        if "status" in type(item_state.item).model_fields:
            changes |= {"status": status}
        item = item_state.item.model_copy(update=changes)
        return [*events, self._write_item(OutputItemDone, output_index=index, item=item)]

    def _summarise(self, index: int, status: ItemEnd) -> list[BaseEvent]:
        summarise, item_state = self._reasoning_extras.summarise, self._item_state(index)
        if summarise is None or status != "completed" or item_state.summary:
            return []
        return self.summarise(index, summarise(item_state.text))

    def _encrypt(self, item_state: ItemState) -> dict[str, str]:
        if self._reasoning_extras.encrypt is None:
            return {}
        reasoning = "".join(part.text for part in item_state.content)
        return {"encrypted_content": self._reasoning_extras.encrypt(reasoning)}

    def _add(self, item: Any) -> list[BaseEvent]:
        return [self._write_item(OutputItemAdded, output_index=len(self.item_states), item=item)]

    def _add_part(self, part: OutputText | ReasoningText) -> BaseEvent:
        return self._write_item(
            ContentPartAdded, **self._part_fields(len(self.item_states) - 1), part=part
        )

    def _end_part(self, index: int) -> list[BaseEvent]:
        """End the open text or arguments of an item, if any."""
        item_state = self._item_state(index)
        match item_state.item.type, item_state.stage:
            case "function_call", ItemStage.OPEN:
                return [
                    self._write_item(
                        ArgumentsDone, **self._item_fields(index), arguments=item_state.text
                    )
                ]
            case "custom_tool_call", ItemStage.OPEN:
                fields = self._item_fields(index)
                return [self._write_item(CustomInputDone, **fields, input=item_state.text)]
            case "mcp_call", ItemStage.STARTED:
                fields = self._item_fields(index)
                return [self._write_item(McpArgumentsDone, **fields, arguments=item_state.text)]
            case "message", ItemStage.PART_OPEN:
                part: OutputText | ReasoningText = OutputText(
                    text=item_state.text,
                    annotations=list(item_state.annotations),
                    logprobs=list(item_state.logprobs),
                )
                done_fields = {"text": item_state.text, "logprobs": list(item_state.logprobs)}
                done_event: type[ItemEvent] = OutputTextDone
            case "reasoning", ItemStage.PART_OPEN:
                part, done_fields = ReasoningText(text=item_state.text), {"text": item_state.text}
                done_event = ReasoningDone
            case _:
                return []
        part_fields = self._part_fields(index)
        return [
            self._write_item(done_event, **part_fields, **done_fields),
            self._write_item(ContentPartDone, **part_fields, part=part),
        ]
