"""Input items: messages, function calls and their outputs, reasoning, references (§2).

Output items are in `models/schemas/output.py`; each of them can be sent back as input.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from models.schemas.parts import (
    AssistantText,
    InputText,
    MessagePart,
    PlainText,
    ReasoningPart,
    SearchResult,
    SummaryText,
    ToolOutputPart,
)
from models.schemas.strict import (
    ARRAY,
    MAX_PARTS,
    MAX_TEXT,
    STRING_OR_ARRAY,
    FailFastList,
    ItemId,
    ItemStatus,
    Label,
    Name,
    Text,
    WireModel,
    string_or_array,
)
from models.schemas.unserved import CALL, CALL_OUTPUT, MESSAGE, OTHER_ITEM

CallId = Annotated[Label, Field(min_length=1)]


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


class GivenCall(WireModel):
    """A function call that a model made in an earlier turn."""

    unserved = CALL

    type: Literal["function_call"]
    id: ItemId | None = None
    call_id: CallId
    name: Name
    arguments: Text
    status: ItemStatus | None = None


class GivenCallOutput(WireModel):
    """The result of the function call with the same `call_id`."""

    unserved = CALL_OUTPUT

    type: Literal["function_call_output"]
    id: ItemId | None = None
    call_id: CallId
    output: Annotated[
        Annotated[Text, Tag(STRING_OR_ARRAY)]
        | Annotated[FailFastList[ToolOutputPart], Field(max_length=MAX_PARTS), Tag(ARRAY)],
        Discriminator(string_or_array),
    ]
    status: ItemStatus | None = None

    @field_validator("output", mode="after")
    @classmethod
    def _as_input(cls, output: str | list[ToolOutputPart]) -> str | list[ToolOutputPart]:
        """Return text as input text, the only text that an output has when it is read again."""
        if isinstance(output, str):
            return output
        return [
            InputText(type="input_text", text=part.text)
            if isinstance(part, PlainText | AssistantText)
            else part
            for part in output
        ]


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


class GivenSearch(WireModel):
    """A web search made in an earlier turn."""

    unserved = OTHER_ITEM

    type: Literal["web_search_call"]
    id: ItemId | None = None
    status: str | None = None
    action: dict[str, Any] | None = None
    results: FailFastList[SearchResult] | None = Field(None, max_length=MAX_PARTS)


def _item_type(value: object) -> object:
    """Return the `type` of an item, inferred from its fields if there is none."""
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
    Discriminator(_item_type),
]


def parts_text(parts: list[dict[str, Any]]) -> str:
    """Return the joined text of content parts; parts without text are skipped."""
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)
