"""Every error leaves here: `AppError`s as they are, all others as one of them."""

import logging
from typing import Any, NoReturn

import redis
from flask import Flask, Response, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from models.errors import (
    AppError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTooLargeError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2

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
"""pydantic's error types → our codes; a wrong type is `invalid_type`, the rest `invalid_value`."""

_KINDS = {int: "integer", float: "decimal", list: "array", dict: "object", str: "string"}


def refuse(error: ValidationError) -> NoReturn:
    """Turn the first thing that is wrong with a request into a 400 that names it."""
    body = request.get_json() if request.method == "POST" else request.args.to_dict()
    raise refusal_of(error, body)


def refusal_of(error: ValidationError, body: dict[str, Any]) -> InvalidRequestError:
    """The 400 that names the first thing that is wrong with `body`."""
    first = error.errors(include_url=False)[0]
    param = first.get("ctx", {}).get("field") or _path(first, body)
    param = param.replace("[][", "[")  # of the list `include[]` the first is `include[0]`
    if first["type"].startswith("union_tag"):
        param += ".type"
    return InvalidRequestError(_message(first, param), param=param or None, code=_code(first))


def _code(error: Any) -> str:
    kind = str(error["type"])
    code = _CODES.get(kind)
    if code is None:
        return "invalid_type" if kind.endswith("_type") else "invalid_value"
    if code.startswith(("above", "below")):
        return f"{_KINDS.get(type(error['input']), 'value')}_{code}"
    return code


def _message(error: Any, param: str) -> str:
    match error["type"]:
        case "missing":
            return f"Missing required parameter: '{param}'."
        case "extra_forbidden":
            return f"Unknown parameter: '{param}'."
        case "unsupported_parameter":
            return f"Unsupported parameter: '{param}'. This server does not act on it."
        case _:
            return f"Invalid '{param}': {error['msg']}."


def _path(error: Any, body: Any) -> str:
    """`input[0].role` from pydantic's location, which has names of union branches in between."""
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
    """Whether a part of a location is the `type` by which a branch was chosen, and no field."""
    return isinstance(body, dict) and body.get("type") == part


def install_error_handlers(app: Flask) -> None:
    """Map every exception that leaves a view to the one error body."""
    app.register_error_handler(AppError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(redis.RedisError, _answer_redis)
    app.register_error_handler(Exception, _answer_unexpected)


def _answer(error: AppError) -> Response:
    response = jsonify(error.body())
    response.status_code = error.http_status
    if error.http_status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _answer_http(error: HTTPException) -> Response:
    """Werkzeug's own errors: unknown address, wrong method, too large."""
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
            refused = InvalidRequestError(error.description)
            response = _answer(refused)
            response.status_code = error.code or 400
            return response


def _answer_redis(error: redis.RedisError) -> Response:
    return _answer(as_app_error(error))


def _answer_unexpected(error: Exception) -> Response:
    return _answer(as_app_error(error))


def as_app_error(error: Exception) -> AppError:
    """What a client is told of an error; a fault of ours is logged with its traceback."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, redis.RedisError):
        logger.warning("redis is out of reach", extra={"error": str(error)})
        return UnavailableError("The event log is out of reach; try again.")
    logger.error("request failed", exc_info=error, extra={"path": request.path})
    return AppError("The server failed to answer this request.")
