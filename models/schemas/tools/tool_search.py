"""Search for tools, which the client runs, and the items that bring tools."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.request.tools import MAX_TOOLS, NamespaceTool
from models.schemas.strict import CallId, FailFastList, ItemId, ItemStatus, WireModel
from models.schemas.tools.custom import CustomTool
from models.schemas.tools.function import FunctionTool
from models.schemas.unserved import OTHER_ITEM


def _tool_type(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


BroughtTool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")],
    Discriminator(_tool_type),
]
"""A tool that an item of the input may bring."""


class GivenToolSearch(WireModel):
    """A search for tools that a model asked for in an earlier turn."""

    unserved = OTHER_ITEM

    type: Literal["tool_search_call"]
    id: ItemId | None = None
    call_id: CallId
    execution: Literal["client"] = "client"
    arguments: Any
    status: ItemStatus | None = None


class GivenToolSearchOutput(WireModel):
    """The tools that a search has found: the model may call them from here on."""

    unserved = OTHER_ITEM

    type: Literal["tool_search_output"]
    id: ItemId | None = None
    call_id: CallId
    execution: Literal["client"] = "client"
    tools: FailFastList[BroughtTool] = Field(max_length=MAX_TOOLS)
    status: ItemStatus | None = None


class AdditionalTools(WireModel):
    """Tools that the model may call from this place of the conversation on."""

    unserved = OTHER_ITEM

    type: Literal["additional_tools"]
    id: ItemId | None = None
    role: Literal["developer"] = "developer"
    tools: FailFastList[BroughtTool] = Field(min_length=1, max_length=MAX_TOOLS)
    status: ItemStatus | None = None
