"""Functions that the client runs, in the specification's form and in that of chat completions.

They may be flat, as in the specification, or nested, as in the chat completions API; they are
stored and returned flat.
"""

from typing import Any, Literal

from pydantic import Field

from models.schemas.strict import Name, Text, WireModel, is_falsy
from models.schemas.unserved import FUNCTION


class ChatFunction(WireModel):
    """The object under `function` in the nested form of a tool."""

    unserved = FUNCTION

    name: Name
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    output_schema: dict[str, Any] | None = None


class FunctionTool(ChatFunction):
    """A function that the client runs; `parameters` is the JSON schema of its arguments."""

    type: Literal["function"] = "function"
    defer_loading: bool | None = Field(None, exclude_if=is_falsy)
    """True: the model does not know it until a `tool_search_output` brings it."""


class ChatFunctionTool(WireModel):
    """A function that the client runs, in the nested form of the chat completions API."""

    unserved = FUNCTION

    type: Literal["function"]
    function: ChatFunction


class FunctionName(WireModel):
    """The object under `function` in the nested form of a tool choice."""

    name: Name


class FunctionChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"] = "function"
    name: Name
    namespace: Name | None = Field(None, exclude_if=is_falsy)


class ChatFunctionChoice(WireModel):
    """The model must call this function; the nested form of the chat completions API."""

    type: Literal["function"]
    function: FunctionName
