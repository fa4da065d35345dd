"""Events that clients send on a WebSocket, one in each message."""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from api.http.strict_json import parse_object
from api.http.validation_errors import to_invalid_request
from api.streaming.websocket.errors import InvalidStreamIdError
from models.errors import InvalidRequestError
from models.schemas.request.create_response import CreateResponse
from models.schemas.strict import WireModel

CREATE = "response.create"
RESUME = "response.resume"
CANCEL = "response.cancel"
STEER = "response.steer"
_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_ENVELOPE_FIELDS = ("type", "stream_id")
_FIXED_FIELDS = {"stream": True, "background": False}
"""Fields that have one value on a WebSocket; clients may send it, or null."""

Event = TypeVar("Event", bound=WireModel)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Part of an event that is read before it is its turn."""

    type: object
    stream_id: str | None
    """Stream that the event belongs to; None for the default one."""

    def check_type(self) -> None:
        """Raise an `AppError` for an event that nobody knows."""
        if self.type not in (CREATE, RESUME, CANCEL, STEER):
            message = f"A frame's type must be '{CREATE}', '{CANCEL}' or '{RESUME}'."
            raise InvalidRequestError(message, param="type")


class ResumeResponse(WireModel):
    """Request for the events of a stored response, from any of them on."""

    response_id: str
    starting_after: int | None = Field(None, ge=0)


class CancelResponse(WireModel):
    """Request to cancel a response; without its id, the one that its stream works on."""

    response_id: str | None = None


def read_envelope(data: bytes) -> Envelope:
    """Read the type and the stream of an event; raise an `AppError` if that is no stream."""
    body = parse_object(data)
    stream_id = body.get("stream_id")
    is_name = isinstance(stream_id, str) and _STREAM_ID.fullmatch(stream_id)
    if stream_id is not None and not is_name:
        raise InvalidStreamIdError
    return Envelope(body.get("type"), stream_id)


def parse_event(data: bytes, model: type[Event]) -> Event:
    """Parse an event; raise an `AppError` that names the first invalid field."""
    return _validate(_without_envelope(parse_object(data)), model)


def parse_create(body: dict[str, Any]) -> CreateResponse:
    """Parse a request for a response; raise an `AppError` that names the first invalid field."""
    fields = _without_envelope(body)
    for name, fixed in _FIXED_FIELDS.items():
        value = fields.pop(name, None)
        if value is not None and value is not fixed:
            message = f"'{name}' cannot have this value on a WebSocket."
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")
    request = _validate(fields | {"stream": True}, CreateResponse)
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        message = "Events are not padded on a WebSocket."
        param = "stream_options.include_obfuscation"
        raise InvalidRequestError(message, param=param, code="unsupported_parameter")
    return request


def _without_envelope(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _ENVELOPE_FIELDS}


def _validate(fields: dict[str, Any], model: type[Event]) -> Event:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise to_invalid_request(error, fields) from None
