"""The server-sent events of a response (specification §4), one class each.

`type` and `sequence_number` come first in every event and so in its JSON: a reader finds both
without parsing the rest.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from models.wire.items import OutputMessage, OutputText
from models.wire.response import ResponseResource


class BaseEvent(BaseModel):
    """What every event has."""

    type: str
    sequence_number: int


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


class OutputItemAdded(BaseEvent):
    """An output item begins."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    output_index: int
    item: OutputMessage


class OutputItemDone(BaseEvent):
    """An output item has its final form."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    output_index: int
    item: OutputMessage


class ContentPartAdded(BaseEvent):
    """A content part of a message begins."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class ContentPartDone(BaseEvent):
    """A content part has its final form."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class OutputTextDelta(BaseEvent):
    """More text of a part."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[Any] = Field(default_factory=list)


class OutputTextDone(BaseEvent):
    """The whole text of a part."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[Any] = Field(default_factory=list)


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
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
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

TERMINAL_EVENT_TYPES = frozenset({"response.completed", "response.incomplete", "response.failed"})
