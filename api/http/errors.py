"""Error responses: every exception other than an `AppError` is converted to one."""

import logging

import redis
from flask import Flask, Response, has_request_context, jsonify, request
from werkzeug.exceptions import HTTPException

from api.http.absent_routes import explain_absence
from api.http.outages import install_outage_log, note_outage
from api.http.protocol_errors import MethodNotAllowedError, RequestTooLargeError
from models.errors import AppError, InvalidRequestError, NotFoundError, UnavailableError

logger = logging.getLogger(__name__)

WEBSOCKET_VERSION = "13"
"""The one version of the WebSocket protocol that is spoken."""


def install_error_handlers(app: Flask) -> None:
    """Register handlers that convert every exception raised by a view to an error response."""
    app.register_error_handler(Exception, answer_error)
    install_outage_log(app)


def answer_error(error: Exception) -> Response:
    """Return the answer to a request whose view has raised an exception."""
    return _answer_http(error) if isinstance(error, HTTPException) else _answer(as_app_error(error))


def _answer(error: AppError) -> Response:
    response = jsonify(error.body())
    response.status_code = error.http_status
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    response.headers.update(error.headers)
    if error.http_status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.http_status == 426:
        response.headers["Sec-WebSocket-Version"] = WEBSOCKET_VERSION
        response.headers["Upgrade"] = "websocket"
        response.headers["Connection"] = "Upgrade"
    return response


def _answer_http(error: HTTPException) -> Response:
    """Answer an error raised by Werkzeug: unknown path, wrong method or too large a body."""
    match error.code:
        case 404:
            return _answer(NotFoundError(explain_absence(request.path)))
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
