"""Base class and shared types of everything that clients send."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 10 * 1024 * 1024
"""Maximum characters of one text (specification)."""

MAX_PARTS = 1000
"""Maximum content parts of one item."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Label = Annotated[str, StringConstraints(max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
"""Name of a function (§2)."""

ItemId = Annotated[str, Field(min_length=1, max_length=128)]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class WireModel(BaseModel):
    """Strict model: a string is not accepted as a number, and unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


def text_or_items(value: object) -> str:
    """Return the tag of a "string or array" union, so that errors mention one branch only."""
    return "items" if isinstance(value, list) else "text"


def text_or_object(value: object) -> str:
    """Return the tag of a "string or object" union."""
    return "object" if isinstance(value, dict) else "text"
