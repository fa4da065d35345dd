"""The `chat.completion.chunk` object: a piece of a completion in a stream."""

from typing import Literal

from pydantic import BaseModel, Field

from models.schemas.chat.completion import (
    ChatAnnotation,
    ChatUsage,
    ChoiceLogprobs,
    Completion,
    FinishReason,
)


def _is_none(value: object) -> bool:
    return value is None


class FunctionDelta(BaseModel):
    """The name of a function, once, and text to append to its arguments."""

    name: str | None = Field(None, exclude_if=_is_none)
    arguments: str


class CustomDelta(BaseModel):
    """The name of a custom tool, once, and text to append to its input."""

    name: str | None = Field(None, exclude_if=_is_none)
    input: str


class CallDelta(BaseModel):
    """A piece of a call; the first one of each `index` has the id, the type and the name."""

    index: int
    id: str | None = Field(None, exclude_if=_is_none)
    type: Literal["function", "custom"] | None = Field(None, exclude_if=_is_none)
    function: FunctionDelta | None = Field(None, exclude_if=_is_none)
    custom: CustomDelta | None = Field(None, exclude_if=_is_none)


class Delta(BaseModel):
    """Additions of a chunk to a message."""

    role: Literal["assistant"] | None = Field(None, exclude_if=_is_none)
    content: str | None = Field(None, exclude_if=_is_none)
    reasoning_content: str | None = Field(None, exclude_if=_is_none)
    tool_calls: list[CallDelta] | None = Field(None, exclude_if=_is_none)
    annotations: list[ChatAnnotation] | None = Field(None, exclude_if=_is_none)


class ChunkChoice(BaseModel):
    """A piece of one of the `n` completions."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(Completion):
    """A piece of a completion."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChunkChoice]


class ChunkWithUsage(ChatCompletionChunk):
    """A piece of a completion of which the request asks to be told the usage."""

    usage: ChatUsage | None
    """Null in all chunks but the last, which has no choices."""
