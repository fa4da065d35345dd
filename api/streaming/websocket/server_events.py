"""Messages that the server sends on a WebSocket: events of responses, and errors."""

from typing import Any

import orjson

from api.http.strict_json import parse_object
from models.errors import AppError

STEERING_NOT_SUPPORTED = "steering_not_supported"


def format_event(data: bytes, stream_id: str | None) -> bytes:
    """Return the JSON of an event with the id of its stream, which needs no escapes."""
    if stream_id is None:
        return data
    return b'%b,"stream_id":"%b"}' % (data[:-1], stream_id.encode())


def format_error(error: AppError, stream_id: str | None = None) -> bytes:
    """Return the message that reports an error of a request, or of the connection."""
    payload = error.payload()
    payload["code"] = payload["code"] or error.type
    frame: dict[str, Any] = {"type": "error", "status": error.http_status, "error": payload}
    return orjson.dumps(frame if stream_id is None else frame | {"stream_id": stream_id})


def refuse_steering(data: bytes) -> bytes:
    """Return the answer to a `response.steer`, with its input for the client to send otherwise."""
    body = parse_object(data)
    error = {
        "type": "invalid_request_error",
        "code": STEERING_NOT_SUPPORTED,
        "message": "A response cannot be steered; cancel it, or send this input when it has ended.",
    }
    steer = {name: body.get(name) for name in ("previous_response_id", "input")}
    frame = {"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer}
    stream_id = body.get("stream_id")
    return orjson.dumps(frame if stream_id is None else frame | {"stream_id": stream_id})
