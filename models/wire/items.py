"""Items and their content parts, as they stand in input and output (specification §2, §3)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

MAX_TEXT = 10 * 1024 * 1024
"""Characters of one text (the specification's limit)."""

MAX_PARTS = 1000

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class WireModel(BaseModel):
    """Strict both ways: a string is no number, and a field nobody knows is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


def text_or_items(value: object) -> str:
    """Which side of a "string or array" is meant, so that errors speak of that side alone."""
    return "items" if isinstance(value, list) else "text"


class InputText(WireModel):
    """Text of a user, system or developer message."""

    type: Literal["input_text"]
    text: str = Field(max_length=MAX_TEXT)


class OutputText(WireModel):
    """Text of an assistant message."""

    type: Literal["output_text"] = "output_text"
    text: str = Field(max_length=MAX_TEXT)
    annotations: list[Any] = Field(default_factory=list)
    logprobs: list[Any] = Field(default_factory=list)


class Refusal(WireModel):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: str = Field(max_length=MAX_TEXT)


ContentPart = Annotated[InputText | OutputText | Refusal, Field(discriminator="type")]


class InputMessage(WireModel):
    """A message given as input; `type` may be left out, as chat clients do."""

    type: Literal["message"] = "message"
    id: str | None = Field(None, min_length=1, max_length=128)
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[str, Field(max_length=MAX_TEXT), Tag("text")]
        | Annotated[list[ContentPart], Field(max_length=MAX_PARTS), Tag("items")],
        Discriminator(text_or_items),
    ]
    status: ItemStatus | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class OutputMessage(WireModel):
    """A message that the model wrote."""

    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


def message_text(item: dict[str, Any]) -> str:
    """The text of a stored message item, its parts joined."""
    content = item["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or part.get("refusal") or "" for part in content)
