"""The server-sent events of a response as a whole (specification §4), and the union of all.

`type` and `sequence_number` come first in every event and so in its JSON: a reader finds both
without parsing the rest.
"""

from typing import Annotated, Literal

from pydantic import Field

from models.schemas.item_events import AnyItemEvent, BaseEvent
from models.schemas.response import ResponseResource


class ResponseCreated(BaseEvent):
    """The response exists."""

    type: Literal["response.created"] = "response.created"
    response: ResponseResource


class ResponseQueued(BaseEvent):
    """The response waits for a worker."""

    type: Literal["response.queued"] = "response.queued"
    response: ResponseResource


class ResponseInProgress(BaseEvent):
    """A worker has begun."""

    type: Literal["response.in_progress"] = "response.in_progress"
    response: ResponseResource


class ResponseCompleted(BaseEvent):
    """The end: the model finished."""

    type: Literal["response.completed"] = "response.completed"
    response: ResponseResource


class ResponseIncomplete(BaseEvent):
    """The end: the output was cut off, or its client cancelled the response."""

    type: Literal["response.incomplete"] = "response.incomplete"
    response: ResponseResource


class ResponseFailed(BaseEvent):
    """The end: an error."""

    type: Literal["response.failed"] = "response.failed"
    response: ResponseResource


class ErrorEvent(BaseEvent):
    """The stream cannot go on.

    Nested as the specification has it (§4). The official client raises on the `error` key.
    """

    type: Literal["error"] = "error"
    error: dict[str, str | None]


Event = Annotated[
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | AnyItemEvent
    | ErrorEvent,
    Field(discriminator="type"),
]

TERMINAL_EVENTS: dict[str, type[ResponseCompleted | ResponseIncomplete | ResponseFailed]] = {
    "completed": ResponseCompleted,
    "incomplete": ResponseIncomplete,
    "failed": ResponseFailed,
    # The specification has no event of its own for this end; the status in the snapshot tells.
    "cancelled": ResponseIncomplete,
}
"""Terminal status of a response → the event that ends its streams."""
