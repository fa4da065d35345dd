"""Lists, and the other small answers."""

from typing import Any, Literal

from pydantic import BaseModel

from models.schemas.response import ResponseResource


class Page(BaseModel):
    """One page of a list; the next begins after `last_id`."""

    object: Literal["list"] = "list"
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponsePage(Page):
    """Stored responses."""

    data: list[ResponseResource]


class ItemPage(Page):
    """Input items of a response."""

    data: list[dict[str, Any]]


class DeletedResponse(BaseModel):
    """What is left of a deleted response."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class Model(BaseModel):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "antiphon"


class ModelList(BaseModel):
    """The served models."""

    object: Literal["list"] = "list"
    data: list[Model]
