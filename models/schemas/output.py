"""Output items (specification §3). A field that may be absent is never null."""

from typing import Annotated, Any, Literal

from pydantic import Field

from models.schemas.parts import OutputText, ReasoningText, SearchResult, SummaryText
from models.schemas.strict import ItemStatus, WireModel, is_none
from models.schemas.tools.custom import CustomToolCall
from models.schemas.tools.mcp_items import McpApprovalRequest, McpCall, McpListTools


class OutputMessage(WireModel):
    """A message that the model generated."""

    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]
    phase: Literal["commentary", "final_answer"] | None = Field(None, exclude_if=is_none)


class FunctionCall(WireModel):
    """A function that the model asks the client to call; `arguments` is JSON."""

    type: Literal["function_call"] = "function_call"
    id: str
    call_id: str
    namespace: str | None = Field(None, exclude_if=is_none)
    name: str
    arguments: str
    status: ItemStatus


class Reasoning(WireModel):
    """The model's reasoning before its answer."""

    type: Literal["reasoning"] = "reasoning"
    id: str
    summary: list[SummaryText] = Field(default_factory=list)
    content: list[ReasoningText] = Field(default_factory=list)
    encrypted_content: str | None = Field(None, exclude_if=is_none)
    status: ItemStatus


class ToolSearchCall(WireModel):
    """A search for tools that the model asks the client to make (an output item)."""

    type: Literal["tool_search_call"] = "tool_search_call"
    id: str
    call_id: str
    execution: Literal["client"] = "client"
    arguments: Any
    """The arguments as an object; those of a call that was cut off are its text."""
    status: ItemStatus


class WebSearchCall(WireModel):
    """A web search that the server made for the model."""

    type: Literal["web_search_call"] = "web_search_call"
    id: str
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"]
    action: dict[str, Any] | None = Field(None, exclude_if=is_none)
    results: list[SearchResult] | None = Field(None, exclude_if=is_none)
    """Search results, as the model read them."""


class Compaction(WireModel):
    """Summary that replaces the conversation before it, made as `context_management` asks."""

    type: Literal["compaction"] = "compaction"
    id: str
    encrypted_content: str
    status: ItemStatus


OutputItem = Annotated[
    OutputMessage
    | FunctionCall
    | CustomToolCall
    | ToolSearchCall
    | Reasoning
    | WebSearchCall
    | Compaction
    | McpListTools
    | McpCall
    | McpApprovalRequest,
    Field(discriminator="type"),
]
