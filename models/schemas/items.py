"""Input items: messages, function calls and their outputs, reasoning, references (§2).

Output items are in `models/schemas/output.py`; each of them can be sent back as input.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from models.schemas.chat_shapes import CallingMessage, ToolMessage
from models.schemas.parts import MessagePart, ReasoningPart, SearchResult, SummaryText
from models.schemas.strict import (
    ARRAY,
    MAX_PARTS,
    MAX_TEXT,
    STRING_OR_ARRAY,
    FailFastList,
    ItemId,
    ItemStatus,
    Label,
    Text,
    WireModel,
    string_or_array,
)
from models.schemas.tools.call_items import GivenCall, GivenCallOutput, GivenCustomOutput
from models.schemas.tools.custom import GivenCustomCall
from models.schemas.tools.hosted_items import (
    ApplyPatchCall,
    ApplyPatchOutput,
    CodeInterpreterCall,
    FileSearchCall,
    LocalShellCall,
    LocalShellOutput,
    ShellCall,
    ShellCallOutput,
)
from models.schemas.tools.mcp_items import (
    GivenMcpApprovalRequest,
    GivenMcpApprovalResponse,
    GivenMcpCall,
    GivenMcpListTools,
)
from models.schemas.tools.tool_search import AdditionalTools, GivenToolSearch, GivenToolSearchOutput
from models.schemas.unserved import MESSAGE, OTHER_ITEM

CALLING = "_calling"
TOOL = "_tool"
"""Tags of messages in the shape of chat completions."""


class InputMessage(WireModel):
    """An input message; `type` may be left out, as chat clients do."""

    unserved = MESSAGE

    type: Literal["message"] = "message"
    id: ItemId | None = None
    role: Literal["user", "assistant", "system", "developer"]
    name: Label | None = None
    content: Annotated[
        Annotated[Text, Tag(STRING_OR_ARRAY)]
        | Annotated[FailFastList[MessagePart], Field(max_length=MAX_PARTS), Tag(ARRAY)],
        Discriminator(string_or_array),
    ]
    status: ItemStatus | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    tool_calls: list[Any] | None = Field(None, max_length=0, exclude=True)
    """Calls in the shape of chat completions, of which this message has none."""


class GivenReasoning(WireModel):
    """A model's reasoning in an earlier turn, as plain text or encrypted."""

    unserved = OTHER_ITEM

    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: FailFastList[SummaryText] = Field(default_factory=list, max_length=MAX_PARTS)
    content: FailFastList[ReasoningPart] | None = Field(None, max_length=MAX_PARTS)
    encrypted_content: Text | None = None
    status: ItemStatus | None = None


class ItemReference(WireModel):
    """A stored item, by its id."""

    type: Literal["item_reference"] | None = None
    id: ItemId


class GivenCompaction(WireModel):
    """An earlier conversation, compacted by `/v1/responses/compact`."""

    type: Literal["compaction"]
    id: ItemId | None = None
    encrypted_content: str = Field(max_length=MAX_TEXT)
    created_by: str | None = None
    status: ItemStatus | None = None


class SearchSource(WireModel):
    """A page that a web search has found; what else servers say of it is kept."""

    model_config = ConfigDict(strict=True, extra="allow")

    type: Label | None = None
    url: Text | None = None


class SearchAction(WireModel):
    """What a web search has done; what else servers say of it is kept."""

    model_config = ConfigDict(strict=True, extra="allow")

    type: Label | None = None
    query: Text | None = None
    queries: FailFastList[Text] | None = Field(None, max_length=MAX_PARTS)
    sources: FailFastList[SearchSource] | None = Field(None, max_length=MAX_PARTS)


class GivenSearch(WireModel):
    """A web search made in an earlier turn."""

    unserved = OTHER_ITEM

    type: Literal["web_search_call"]
    id: ItemId | None = None
    status: str | None = None
    action: SearchAction | None = None
    results: FailFastList[SearchResult] | None = Field(None, max_length=MAX_PARTS)


def _chat_shape(value: object) -> str | None:
    """Return the tag of a message in the shape of chat completions that is no message here."""
    if isinstance(value, ToolMessage | CallingMessage):
        return CALLING if isinstance(value, CallingMessage) else TOOL
    if not isinstance(value, dict) or value.get("type") not in (None, "message"):
        return None
    if value.get("role") == "tool":
        return TOOL
    return CALLING if value.get("tool_calls") else None


def _item_type(value: object) -> object:
    """Return the `type` of an item, inferred from its fields if there is none."""
    if (shape := _chat_shape(value)) is not None:
        return shape
    if not isinstance(value, dict):
        return getattr(value, "type", None) or "item_reference"
    is_reference = "id" in value and not {"role", "content"} & value.keys()
    return value.get("type") or ("item_reference" if is_reference else "message")


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[CallingMessage, Tag(CALLING)]
    | Annotated[ToolMessage, Tag(TOOL)]
    | Annotated[GivenCall, Tag("function_call")]
    | Annotated[GivenCallOutput, Tag("function_call_output")]
    | Annotated[GivenCustomCall, Tag("custom_tool_call")]
    | Annotated[GivenCustomOutput, Tag("custom_tool_call_output")]
    | Annotated[GivenToolSearch, Tag("tool_search_call")]
    | Annotated[GivenToolSearchOutput, Tag("tool_search_output")]
    | Annotated[AdditionalTools, Tag("additional_tools")]
    | Annotated[GivenReasoning, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")]
    | Annotated[GivenCompaction, Tag("compaction")]
    | Annotated[GivenSearch, Tag("web_search_call")]
    | Annotated[FileSearchCall, Tag("file_search_call")]
    | Annotated[CodeInterpreterCall, Tag("code_interpreter_call")]
    | Annotated[ShellCall, Tag("shell_call")]
    | Annotated[ShellCallOutput, Tag("shell_call_output")]
    | Annotated[LocalShellCall, Tag("local_shell_call")]
    | Annotated[LocalShellOutput, Tag("local_shell_call_output")]
    | Annotated[ApplyPatchCall, Tag("apply_patch_call")]
    | Annotated[ApplyPatchOutput, Tag("apply_patch_call_output")]
    | Annotated[GivenMcpListTools, Tag("mcp_list_tools")]
    | Annotated[GivenMcpCall, Tag("mcp_call")]
    | Annotated[GivenMcpApprovalRequest, Tag("mcp_approval_request")]
    | Annotated[GivenMcpApprovalResponse, Tag("mcp_approval_response")],
    Discriminator(_item_type),
]


CALL_OF_OUTPUT = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
    "tool_search_output": "tool_search_call",
}
"""Types of items that answer a call, with the type of that call."""


def parts_text(parts: list[dict[str, Any]]) -> str:
    """Return the joined text of content parts; parts without text are skipped."""
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)
