"""Server-sent events of whole responses (specification §4), and the union of all events.

`type` and `sequence_number` are the first fields of every event, and so of its JSON: readers find
both without parsing the rest.
"""

from typing import Annotated, Literal

from pydantic import Field

from models.schemas.event_types import BaseEvent
from models.schemas.item_events import AnyItemEvent
from models.schemas.response import ResponseResource


class ResponseCreated(BaseEvent):
    """The response has been created."""

    type: Literal["response.created"] = "response.created"
    response: ResponseResource


class ResponseQueued(BaseEvent):
    """The response waits for a worker."""

    type: Literal["response.queued"] = "response.queued"
    response: ResponseResource


class ResponseInProgress(BaseEvent):
    """A worker has started the response."""

    type: Literal["response.in_progress"] = "response.in_progress"
    response: ResponseResource


class ResponseCompleted(BaseEvent):
    """The response has ended: the model finished its output."""

    type: Literal["response.completed"] = "response.completed"
    response: ResponseResource


class ResponseIncomplete(BaseEvent):
    """The response has ended: its output was cut off, or its client cancelled it."""

    type: Literal["response.incomplete"] = "response.incomplete"
    response: ResponseResource


class ResponseFailed(BaseEvent):
    """The response has ended with an error."""

    type: Literal["response.failed"] = "response.failed"
    response: ResponseResource


class ErrorEvent(BaseEvent):
    """The stream cannot continue.

    The error is nested, as in the specification (§4). The official client raises on the `error`
    key.
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
    # The specification has no event for cancellation; the status in the response shows it.
    "cancelled": ResponseIncomplete,
}
"""Terminal status of a response → class of the event that ends its streams."""
