"""Parts of the official client's objects, with the types that tests expect."""

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseInProgressEvent,
    ResponseOutputItem,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseQueuedEvent,
    ResponseStreamEvent,
    ResponseUsage,
)

_WITH_RESPONSE = (
    ResponseCreatedEvent,
    ResponseQueuedEvent,
    ResponseInProgressEvent,
    ResponseCompletedEvent,
    ResponseIncompleteEvent,
    ResponseFailedEvent,
)


def text_part_of(item: ResponseOutputItem) -> ResponseOutputText:
    """Return the first part of a message, which must be text."""
    assert isinstance(item, ResponseOutputMessage)
    part = item.content[0]
    assert isinstance(part, ResponseOutputText)
    return part


def response_of(event: ResponseStreamEvent) -> Response:
    """Return the response in an event, which must have one."""
    assert isinstance(event, _WITH_RESPONSE)
    return event.response


def usage_of(response: Response) -> ResponseUsage:
    """Return the token counts of a response, which must have ended."""
    assert response.usage is not None
    return response.usage
