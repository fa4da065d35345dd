"""Log of outages as requests meet them: one line for each kind of request, not one per request."""

import logging

from flask import Flask, Response, current_app, has_request_context, request

from models.outages import OutageLog

logger = logging.getLogger(__name__)

_EXTENSION = "antiphon.outages"
_websocket_log = OutageLog(logger, "requests refused: WebSocket")


def install_outage_log(app: Flask) -> None:
    """Note every request that is answered as the possible end of an outage."""
    app.extensions[_EXTENSION] = {}
    app.after_request(_note_answer)


def note_outage(error: Exception) -> None:
    """Log that requests of the current kind cannot be answered, unless it is known already."""
    if not has_request_context():
        _websocket_log.failed(error)
        return
    logs: dict[str, OutageLog] = current_app.extensions.setdefault(_EXTENSION, {})
    kind = f"{request.method} {request.endpoint}"
    logs.setdefault(kind, OutageLog(logger, f"requests refused: {kind}")).failed(error)


def _note_answer(response: Response) -> Response:
    logs: dict[str, OutageLog] = current_app.extensions[_EXTENSION]
    log = logs and logs.get(f"{request.method} {request.endpoint}")
    if log and response.status_code < 500:
        log.succeeded()
    return response
