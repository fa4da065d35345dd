"""Custom tools: the client runs them with a text that may have to follow a grammar."""

from typing import Annotated, Literal

from pydantic import Field

from models.schemas.event_types import PieceEvent
from models.schemas.strict import (
    CallId,
    ItemId,
    ItemStatus,
    Name,
    Source,
    Text,
    WireModel,
    is_falsy,
    is_none,
)
from models.schemas.unserved import CALL, FUNCTION


class TextInput(WireModel):
    """The input is any text."""

    type: Literal["text"] = "text"


class GrammarInput(WireModel):
    """The input follows a Lark grammar or matches a regular expression, as `grammar` describes."""

    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: Source


InputFormat = Annotated[TextInput | GrammarInput, Field(discriminator="type")]


class CustomTool(WireModel):
    """A tool that the client runs with a text."""

    unserved = FUNCTION

    type: Literal["custom"]
    name: Name
    description: Text | None = None
    format: InputFormat = Field(default_factory=TextInput)
    defer_loading: bool | None = Field(None, exclude_if=is_falsy)
    """True: the model does not know it until a `tool_search_output` brings it."""


class CustomChoice(WireModel):
    """The model must call this custom tool."""

    type: Literal["custom"]
    name: Name
    namespace: Name | None = Field(None, exclude_if=is_falsy)


class CustomToolCall(WireModel):
    """A custom tool that the model asks the client to call (an output item)."""

    type: Literal["custom_tool_call"] = "custom_tool_call"
    id: str
    call_id: str
    namespace: str | None = Field(None, exclude_if=is_none)
    name: str
    input: str
    status: ItemStatus


class GivenCustomCall(WireModel):
    """A call of a custom tool that a model made in an earlier turn."""

    unserved = CALL

    type: Literal["custom_tool_call"]
    id: ItemId | None = None
    call_id: CallId
    namespace: Name | None = None
    name: Name
    input: Text
    status: ItemStatus | None = None


class CustomInputDelta(PieceEvent):
    """Text to append to the input of a custom tool."""

    type: Literal["response.custom_tool_call_input.delta"] = "response.custom_tool_call_input.delta"
    delta: str


class CustomInputDone(PieceEvent):
    """The whole input of a custom tool."""

    type: Literal["response.custom_tool_call_input.done"] = "response.custom_tool_call_input.done"
    input: str
