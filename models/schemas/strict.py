"""What every type that clients send is made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 10 * 1024 * 1024
"""Characters of one text (the specification's limit)."""

MAX_PARTS = 1000

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Label = Annotated[str, StringConstraints(max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
"""Of a function (§2)."""

ItemId = Annotated[str, Field(min_length=1, max_length=128)]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class WireModel(BaseModel):
    """Strict both ways: a string is no number, and a field nobody knows is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


def text_or_items(value: object) -> str:
    """Which side of a "string or array" is meant, so that errors speak of that side alone."""
    return "items" if isinstance(value, list) else "text"


def text_or_object(value: object) -> str:
    """Likewise of a "string or object"."""
    return "object" if isinstance(value, dict) else "text"
