"""Messages of a chat, by role, and their content parts."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from models.schemas.chat.unserved import ASSISTANT_MESSAGE, CALL, CALLED_FUNCTION, TOOL_MESSAGE
from models.schemas.parts import (
    Address,
    CacheBreakpoint,
    FileData,
    InputAudio,
    PlainText,
    Refusal,
)
from models.schemas.request.tools import MAX_TOOLS
from models.schemas.strict import (
    ARRAY,
    MAX_PARTS,
    STRING_OR_ARRAY,
    CallId,
    FailFastList,
    Label,
    Name,
    Text,
    WireModel,
    string_or_array,
)


class ImageUrl(WireModel):
    """The object under `image_url`."""

    url: Address
    detail: Literal["low", "high", "auto", "original"] | None = None


class ImagePart(WireModel):
    """An image, by its URL or as a data URL."""

    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class FileContent(WireModel):
    """The object under `file`."""

    file_data: FileData | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(WireModel):
    """A file, as base64."""

    type: Literal["file"]
    file: FileContent
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class VideoUrl(WireModel):
    """The object under `video_url`."""

    url: Address


class VideoPart(WireModel):
    """A video, by its URL or as a data URL."""

    type: Literal["video_url"]
    video_url: VideoUrl


UserPart = Annotated[
    PlainText | ImagePart | FilePart | VideoPart | InputAudio, Field(discriminator="type")
]
AssistantPart = Annotated[PlainText | Refusal, Field(discriminator="type")]
ToolPart = Annotated[PlainText | ImagePart | FilePart, Field(discriminator="type")]

Part = TypeVar("Part")
TextOrParts = Annotated[
    Annotated[Text, Tag(STRING_OR_ARRAY)]
    | Annotated[FailFastList[Part], Field(max_length=MAX_PARTS), Tag(ARRAY)],
    Discriminator(string_or_array),
]


class SystemMessage(WireModel):
    """Instructions of the developer."""

    role: Literal["system", "developer"]
    content: TextOrParts[PlainText]
    name: Label | None = None


class UserMessage(WireModel):
    """A message of the user."""

    role: Literal["user"]
    content: TextOrParts[UserPart]
    name: Label | None = None


class CalledFunction(WireModel):
    """The object under `function` of a call."""

    unserved = CALLED_FUNCTION

    name: Name
    arguments: Text


class ChatFunctionCall(WireModel):
    """A call of a function that the model made in an earlier turn."""

    unserved = CALL

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


class CalledCustom(WireModel):
    """The object under `custom` of a call."""

    name: Name
    input: Text


class ChatCustomCall(WireModel):
    """A call of a custom tool that the model made in an earlier turn."""

    unserved = CALL

    id: CallId
    type: Literal["custom"]
    custom: CalledCustom


def _call_tag(value: object) -> str:
    """Return the tag of a call; `type` may be left out of the call of a function."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "custom" if kind == "custom" else "function"


ChatCall = Annotated[
    Annotated[ChatFunctionCall, Tag("function")] | Annotated[ChatCustomCall, Tag("custom")],
    Discriminator(_call_tag),
]


class AssistantMessage(WireModel):
    """Text and calls of the model in an earlier turn."""

    unserved = ASSISTANT_MESSAGE

    role: Literal["assistant"]
    content: TextOrParts[AssistantPart] | None = None
    refusal: Text | None = None
    name: Label | None = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None
    """Another name of `reasoning_content`."""
    tool_calls: FailFastList[ChatCall] = Field(default_factory=list, max_length=MAX_TOOLS)

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        others = (self.refusal, self.reasoning_content, self.reasoning)
        if self.content is None and not self.tool_calls and others == (None, None, None):
            raise PydanticCustomError(
                "no_content",
                "it must not be null without tool_calls, refusal or reasoning_content",
                {"name": "content"},
            )
        return self


class ToolMessage(WireModel):
    """The result of the call with the id `tool_call_id`."""

    unserved = TOOL_MESSAGE

    role: Literal["tool"]
    tool_call_id: CallId
    content: TextOrParts[ToolPart]


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]
