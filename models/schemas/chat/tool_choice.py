"""`tool_choice` of a chat, in which a subset of the tools is nested, too."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.request.tools import MAX_TOOLS, OneChoice, ToolChoice, ToolMode
from models.schemas.strict import WireModel

_SHARED = "_shared"
"""Tag of the choices that responses have as well."""


class ToolSubset(WireModel):
    """The object under `allowed_tools`."""

    mode: ToolMode = "auto"
    tools: list[OneChoice] = Field(min_length=1, max_length=MAX_TOOLS)


class ChatAllowedTools(WireModel):
    """The subset of tools that may be called now; the others stay in the prompt."""

    type: Literal["allowed_tools"]
    allowed_tools: ToolSubset


def _choice_tag(value: object) -> str:
    is_nested = isinstance(value, ChatAllowedTools) or (
        isinstance(value, dict)
        and value.get("type") == "allowed_tools"
        and "allowed_tools" in value
    )
    return "allowed_tools" if is_nested else _SHARED


ChatToolChoice = Annotated[
    Annotated[ToolChoice, Tag(_SHARED)] | Annotated[ChatAllowedTools, Tag("allowed_tools")],
    Discriminator(_choice_tag),
]
