"""Lists, and other small resources of the API."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from models.schemas.response import ResponseResource


class Page(BaseModel):
    """One page of a list; pass `last_id` as `after` to get the next."""

    object: Literal["list"] = "list"
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponsePage(Page):
    """One page of stored responses."""

    data: list[ResponseResource]


class ItemPage(Page):
    """One page of the input items of a response."""

    data: list[dict[str, Any]]


class DeletedResponse(BaseModel):
    """Confirmation that a response was deleted."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class StoredRequest(BaseModel):
    """The body with which a stored response could be requested again."""

    model: str
    input: list[dict[str, Any]]

    model_config = ConfigDict(extra="allow")


class ModelQueueResource(BaseModel):
    """What the project has waiting and running of one model."""

    model: str
    num_queued: int
    num_in_progress: int
    oldest_queued_seconds: float | None
    """Seconds that the oldest queued response has waited; null if none waits."""


class QueueList(BaseModel):
    """Queues of the project, one for each model that it has unfinished responses of."""

    object: Literal["list"] = "list"
    data: list[ModelQueueResource]


class Capabilities(BaseModel):
    """Abilities of a model besides text."""

    images: bool
    tools: Literal[True] = True
    reasoning: bool


class Model(BaseModel):
    """A served model, under its id or under another name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "antiphon"
    root: str
    """Id of the model, which responses name."""
    aliases: list[str]
    """All other names of the model."""
    context_length: int
    capabilities: Capabilities


class ModelList(BaseModel):
    """The served models."""

    object: Literal["list"] = "list"
    data: list[Model]
