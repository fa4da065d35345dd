"""Items given as input: messages, calls and their outputs, reasoning, references (§2).

Those that the model makes are in `models/schemas/output.py`; each of them can be given back.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.parts import MessagePart, SearchResult, SummaryText, ThoughtPart, ToolOutputPart
from models.schemas.strict import (
    MAX_PARTS,
    MAX_TEXT,
    ItemId,
    ItemStatus,
    Label,
    Name,
    Text,
    WireModel,
    text_or_items,
)

CallId = Annotated[Label, Field(min_length=1)]


class InputMessage(WireModel):
    """A message given as input; `type` may be left out, as chat clients do."""

    type: Literal["message"] = "message"
    id: ItemId | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[MessagePart], Field(max_length=MAX_PARTS), Tag("items")],
        Discriminator(text_or_items),
    ]
    status: ItemStatus | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class GivenCall(WireModel):
    """A call that a model made in an earlier turn."""

    type: Literal["function_call"]
    id: ItemId | None = None
    call_id: CallId
    name: Name
    arguments: Text
    status: ItemStatus | None = None


class GivenCallOutput(WireModel):
    """What a function returned to the call with the same `call_id`."""

    type: Literal["function_call_output"]
    id: ItemId | None = None
    call_id: CallId
    output: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[ToolOutputPart], Field(max_length=MAX_PARTS), Tag("items")],
        Discriminator(text_or_items),
    ]
    status: ItemStatus | None = None


class GivenReasoning(WireModel):
    """What a model thought in an earlier turn, in the open or sealed."""

    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: list[SummaryText] = Field(default_factory=list, max_length=MAX_PARTS)
    content: list[ThoughtPart] | None = Field(None, max_length=MAX_PARTS)
    encrypted_content: Text | None = None
    status: ItemStatus | None = None


class ItemReference(WireModel):
    """An item that is stored, by its id."""

    type: Literal["item_reference"] | None = None
    id: ItemId


class GivenCompaction(WireModel):
    """What `/v1/responses/compact` made of an earlier conversation."""

    type: Literal["compaction"]
    id: ItemId | None = None
    encrypted_content: str = Field(max_length=MAX_TEXT)
    created_by: str | None = None


class GivenSearch(WireModel):
    """A search of the web that was made in an earlier turn."""

    type: Literal["web_search_call"]
    id: ItemId | None = None
    status: str | None = None
    action: dict[str, Any] | None = None
    results: list[SearchResult] | None = Field(None, max_length=MAX_PARTS)


def _kind(value: object) -> object:
    """`type`, or what an item without one must be."""
    if not isinstance(value, dict):
        return getattr(value, "type", None) or "item_reference"
    is_reference = "id" in value and not {"role", "content"} & value.keys()
    return value.get("type") or ("item_reference" if is_reference else "message")


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[GivenCall, Tag("function_call")]
    | Annotated[GivenCallOutput, Tag("function_call_output")]
    | Annotated[GivenReasoning, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")]
    | Annotated[GivenCompaction, Tag("compaction")]
    | Annotated[GivenSearch, Tag("web_search_call")],
    Discriminator(_kind),
]


def message_text(item: dict[str, Any]) -> str:
    """The text of a stored message item, its parts joined."""
    content = item["content"]
    return content if isinstance(content, str) else parts_text(content)


def parts_text(parts: list[dict[str, Any]]) -> str:
    """The text of content parts; those of other kinds have none."""
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)
