"""Error responses: every exception other than an `AppError` is converted to one."""

import logging
import re
from typing import Any, NoReturn

import redis
from flask import Flask, Response, has_request_context, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from api.http.outages import install_outage_log, note_outage
from models.errors import (
    AppError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTooLargeError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

WEBSOCKET_VERSION = "13"
"""The one version of the WebSocket protocol that is spoken."""

_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "unsupported_parameter": "unsupported_parameter",
    "string_too_long": "string_above_max_length",
    "string_too_short": "string_below_min_length",
    "too_long": "above_max_length",
    "too_short": "below_min_length",
    "greater_than": "below_min_value",
    "greater_than_equal": "below_min_value",
    "less_than": "above_max_value",
    "less_than_equal": "above_max_value",
}
"""Error codes by pydantic's error type. Other types ending in `_type` are `invalid_type`, the rest
`invalid_value`.
"""

_DISCRIMINATOR = re.compile(r" found using \S+")
"""Mention of our functions in pydantic's messages."""

_TYPE_NAMES = {int: "integer", float: "decimal", list: "array", dict: "object", str: "string"}


def refuse(error: ValidationError) -> NoReturn:
    """Raise a 400 that names the first invalid field of the current request."""
    body = request.get_json() if request.method == "POST" else request.args.to_dict()
    raise to_invalid_request(error, body)


def to_invalid_request(error: ValidationError, body: dict[str, Any]) -> InvalidRequestError:
    """Return the 400 that names the first invalid field of `body`."""
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    param = context.get("field") or _format_path(first, body)
    if name := context.get("name"):
        param = f"{param}.{name}" if param else name
    param = param.replace("[][", "[")  # `include[][0]` is `include[0]`
    if first["type"].startswith("union_tag"):
        param += ".type"
    return InvalidRequestError(
        _format_message(first, param), param=param or None, code=_choose_code(first)
    )


def _choose_code(error: Any) -> str:
    kind = str(error["type"])
    code = _CODES.get(kind)
    if code is None:
        return "invalid_type" if kind.endswith("_type") else "invalid_value"
    if code.startswith(("above", "below")):
        return f"{_TYPE_NAMES.get(type(error['input']), 'value')}_{code}"
    return code


def _format_message(error: Any, param: str) -> str:
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return f"Missing required parameter: '{param}'."
        case "extra_forbidden":
            return f"Unknown parameter: '{param}'."
        case "unsupported_parameter":
            return f"Unsupported parameter: '{param}'. This server does not act on it."
        case _:
            return f"Invalid '{param}': {_DISCRIMINATOR.sub('', error['msg'])}."


def _format_path(error: Any, body: Any) -> str:
    """Format pydantic's error location as a path such as `input[0].role`.

    Names of union branches, which the location also contains, are left out.
    """
    path = ""
    missing = error["loc"][-1] if error["type"] == "missing" else None
    last = len(error["loc"]) - 1
    is_tagged = False
    for depth, part in enumerate(error["loc"]):
        if isinstance(part, int):
            path += f"[{part}]"
            body = body[part] if isinstance(body, list) and part < len(body) else None
            is_tagged = False
        elif depth < last and not is_tagged and _is_tag(part, body):
            is_tagged = True
        elif isinstance(body, dict) and part in (*body, missing):
            is_tagged = False
            path += f".{part}" if path else part
            body = body.get(part)
    return path


def _is_tag(part: str, body: Any) -> bool:
    """Return True if a part of a location is the tag of a union branch and not a field."""
    return isinstance(body, dict) and body.get("type") == part


def install_error_handlers(app: Flask) -> None:
    """Register handlers that convert every exception raised by a view to an error response."""
    app.register_error_handler(AppError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(redis.RedisError, _answer_redis)
    app.register_error_handler(Exception, _answer_unexpected)
    install_outage_log(app)


def _answer(error: AppError) -> Response:
    if isinstance(error, UnavailableError):
        note_outage(error)
    response = jsonify(error.body())
    response.status_code = error.http_status
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.http_status == 426:
        response.headers["Sec-WebSocket-Version"] = WEBSOCKET_VERSION
        response.headers["Upgrade"] = "websocket"
        response.headers["Connection"] = "Upgrade"
    return response


def _answer_http(error: HTTPException) -> Response:
    """Answer an error raised by Werkzeug: unknown path, wrong method or too large a body."""
    match error.code:
        case 404:
            return _answer(NotFoundError(f"There is nothing at {request.path}."))
        case 405:
            response = _answer(MethodNotAllowedError())
            response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", []) or []))
            return response
        case 413:
            return _answer(RequestTooLargeError())
        case _:
            refusal = InvalidRequestError(error.description)
            response = _answer(refusal)
            response.status_code = error.code or 400
            return response


def _answer_redis(error: redis.RedisError) -> Response:
    return _answer(as_app_error(error))


def _answer_unexpected(error: Exception) -> Response:
    return _answer(as_app_error(error))


def as_app_error(error: Exception) -> AppError:
    """Convert an exception to an `AppError`; log the traceback if it is unexpected."""
    if isinstance(error, UnavailableError):
        note_outage(error)
    if isinstance(error, AppError):
        return error
    if isinstance(error, redis.RedisError):
        unavailable = UnavailableError("The event log is out of reach; try again.")
        unavailable.__cause__ = error
        note_outage(unavailable)
        return unavailable
    # A WebSocket's requests have no path.
    path = request.path if has_request_context() else None
    logger.error("request failed", exc_info=error, extra={"path": path})
    return AppError("The server failed to answer this request.")
