"""Messages in the shape of chat completions that are no messages here: calls and their outputs."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.parts import MessagePart, ToolOutputPart
from models.schemas.strict import (
    ARRAY,
    MAX_PARTS,
    STRING_OR_ARRAY,
    CallId,
    FailFastList,
    ItemId,
    ItemStatus,
    Label,
    Name,
    Text,
    WireModel,
    string_or_array,
)
from models.schemas.unserved import CHAT_CALL, MESSAGE

MAX_CALLS = 128

MessageContent = Annotated[
    Annotated[Text, Tag(STRING_OR_ARRAY)]
    | Annotated[FailFastList[MessagePart], Field(max_length=MAX_PARTS), Tag(ARRAY)],
    Discriminator(string_or_array),
]
OutputContent = Annotated[
    Annotated[Text, Tag(STRING_OR_ARRAY)]
    | Annotated[FailFastList[ToolOutputPart], Field(max_length=MAX_PARTS), Tag(ARRAY)],
    Discriminator(string_or_array),
]


class CalledFunction(WireModel):
    """The object under `function` of a call."""

    name: Name
    arguments: Text


class ChatCall(WireModel):
    """A function call of a message of the assistant."""

    unserved = CHAT_CALL

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


class CallingMessage(WireModel):
    """A message of the assistant with `tool_calls`: items of its text, if any, and of its calls."""

    unserved = MESSAGE

    type: Literal["message"] = "message"
    id: ItemId | None = None
    role: Literal["assistant"]
    name: Label | None = None
    content: MessageContent | None = None
    status: ItemStatus | None = None
    tool_calls: FailFastList[ChatCall] = Field(min_length=1, max_length=MAX_CALLS)


class ToolMessage(WireModel):
    """A message of the role `tool`: the output of the call with the id `tool_call_id`."""

    unserved = MESSAGE

    type: Literal["message"] = "message"
    id: ItemId | None = None
    role: Literal["tool"]
    tool_call_id: CallId
    name: Label | None = None
    """Name of the function, which its call has."""
    content: OutputContent
    status: ItemStatus | None = None
