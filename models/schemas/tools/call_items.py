"""Function calls as clients hand them back, and the outputs by which they answer calls."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from models.schemas.parts import AssistantText, InputText, PlainText, ToolOutputPart
from models.schemas.strict import (
    ARRAY,
    MAX_PARTS,
    STRING_OR_ARRAY,
    CallId,
    FailFastList,
    ItemId,
    ItemStatus,
    Name,
    Text,
    WireModel,
    string_or_array,
)
from models.schemas.unserved import CALL, CALL_OUTPUT

CallType = Literal["function_call", "custom_tool_call", "tool_search_call"]
"""Type of the item of a call that the client answers."""
HostedType = Literal["web_search_call", "mcp_list_tools", "mcp_call", "mcp_approval_request"]
"""Type of an item of a tool that the server runs."""


class GivenCall(WireModel):
    """A function call that a model made in an earlier turn."""

    unserved = CALL

    type: Literal["function_call"]
    id: ItemId | None = None
    call_id: CallId
    namespace: Name | None = None
    name: Name
    arguments: Text
    status: ItemStatus | None = None


class ToolOutput(WireModel):
    """The result of a call.

    Without `call_id`, it is that of the latest unanswered call of the tool that it names.
    """

    id: ItemId | None = None
    call_id: CallId | None = None
    namespace: Name | None = None
    name: Name | None = None
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


class GivenCallOutput(ToolOutput):
    """The result of the function call with the same `call_id`."""

    unserved = CALL_OUTPUT

    type: Literal["function_call_output"]


class GivenCustomOutput(ToolOutput):
    """The result of the call of a custom tool with the same `call_id`."""

    unserved = CALL_OUTPUT

    type: Literal["custom_tool_call_output"]
