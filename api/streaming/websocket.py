"""WebSocket on /v1/responses: the same requests and events, one after the other on one connection.

A frame of the client is `{"type": "response.create", …}` with the body of a POST, a frame of the
server is one event as JSON (specification 2026-04-24). What is not stored can be continued on the
connection that made it, and nowhere else.
"""

import logging
import time
from typing import Any

import orjson
from flask import Blueprint
from flask_sock import Sock
from pydantic import ValidationError
from simple_websocket import ConnectionClosed, Server

from api.http.errors import as_app_error, refusal_of
from api.http.strict_json import MAX_BODY_BYTES, parse_object
from api.services import Services, project_id, services
from api.streaming.client_disconnect import LISTEN_S
from api.streaming.foreground import forget_unstored, request_cancel
from api.streaming.tail import Tail
from api.validation.context import Context
from api.validation.create_request import create_response
from models.errors import (
    AppError,
    ConnectionExpiredError,
    InvalidRequestError,
    PreviousResponseNotFoundError,
)
from models.ids import parse_response_id, response_wire_id
from models.responses.record import ResponseRecord
from models.schemas.request.create_response import CreateResponse
from models.streams.event_log import LoggedEvent

logger = logging.getLogger(__name__)

MAX_AGE_S = 3600.0
"""A connection is closed after an hour (specification)."""
MAX_WAITING = 16
"""Requests that one connection may send ahead."""
PING_S = 25
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013
_OF_HTTP_ONLY = ("stream", "stream_options", "background")
_ENDS_WELL = ("completed", "incomplete")

blueprint = Blueprint("websocket", __name__)
SOCK_SERVER_OPTIONS = {
    "ping_interval": PING_S,
    "max_message_size": MAX_BODY_BYTES,
    "receive_bytes": 2**16,
}


@Sock().route("/v1/responses", bp=blueprint)
def converse(socket: Server) -> None:
    """Serve one connection; it takes one of the places that streams have."""
    at = services()
    try:
        with at.broadcaster.place():
            Connection(at, project_id(), socket).serve()
    except AppError as error:
        socket.send(_error_frame(error))
        socket.close(_TRY_AGAIN_LATER)
    except OSError:
        logger.debug("websocket lost")


class Connection:
    """One connection: its requests in sequence, and the context it remembers."""

    def __init__(self, at: Services, project_id: str, socket: Server) -> None:
        self._at = at
        self._project_id = project_id
        self._socket = socket
        self._expires_at = time.monotonic() + MAX_AGE_S
        self._kept: ResponseRecord | None = None
        """The last response that was not stored, if it can be continued."""

    def serve(self) -> None:
        """Answer requests until the client leaves or the connection's time is up."""
        try:
            while (left_s := self._expires_at - time.monotonic()) > 0:
                message = self._socket.receive(timeout=left_s)
                if message is not None:
                    self._answer(message)
            self._socket.send(_error_frame(ConnectionExpiredError()))
            self._socket.close()
        finally:
            self._keep(None)

    def _answer(self, message: str | bytes) -> None:
        body: dict[str, Any] = {}
        try:
            body = parse_object(message.encode() if isinstance(message, str) else message)
            self._run(_request_in(body), body.get("previous_response_id"))
        except (ConnectionClosed, OSError):
            raise
        except Exception as error:
            self._evict(body.get("previous_response_id"))
            self._socket.send(_error_frame(as_app_error(error)))

    def _run(self, request: CreateResponse, previous: str | None) -> None:
        context = self._remembered(request)
        stored = create_response(self._at, self._project_id, request, context)
        try:
            for event in Tail(self._at, stored).follow(idle_s=LISTEN_S):
                self._check_client()
                if event is not None:
                    self._socket.send(event.data.decode())
                    if event.is_terminal:
                        self._remember(stored, event, previous)
        except (ConnectionClosed, OSError):
            request_cancel(self._at, stored)
            raise
        finally:
            forget_unstored(self._at, stored)

    def _check_client(self) -> None:
        """Raise if the client has left, or sends ahead more than can be held for it."""
        if len(self._socket.input_buffer) > MAX_WAITING:
            self._socket.close(_POLICY_VIOLATION, f"At most {MAX_WAITING} requests may wait.")
        if not self._socket.connected:
            raise ConnectionClosed(self._socket.close_reason, self._socket.close_message)

    def _remembered(self, request: CreateResponse) -> Context | None:
        """What comes before the input, if this connection alone knows it."""
        kept = self._kept
        if kept is None or request.previous_response_id != response_wire_id(kept.id):
            return None
        items = self._at.context_cache.get(kept.id)
        if items is None:
            message = f"Previous response with id '{request.previous_response_id}' not found."
            raise PreviousResponseNotFoundError(message, param="previous_response_id")
        if request.store:
            message = "The previous response was not stored: store must be false to go on."
            raise InvalidRequestError(message, param="store")
        return Context(previous_id=kept.id, items=items, is_remembered=True)

    def _remember(self, stored: ResponseRecord, end: LoggedEvent, previous: str | None) -> None:
        """Keep what is not stored for the next turn; what failed takes its chain with it."""
        response = orjson.loads(end.data)["response"]
        if response["status"] not in _ENDS_WELL:
            self._evict(previous)
            return
        content = None if stored.store else self._at.unstored.get(stored.id)
        if content is None:
            return
        before = stored.previous_response_id
        chain = self._at.store.items.of_chain(self._project_id, before) if before else []
        self._keep(stored)
        self._at.context_cache.keep(stored.id, chain + content.items + response["output"])

    def _keep(self, stored: ResponseRecord | None) -> None:
        if self._kept is not None:
            self._at.context_cache.forget(self._kept.id)
        self._kept = stored

    def _evict(self, wire_id: object) -> None:
        """A turn that could not go on from what is remembered ends that chain."""
        is_id = isinstance(wire_id, str)
        if is_id and self._kept and parse_response_id(str(wire_id)) == self._kept.id:
            self._keep(None)


def _request_in(body: dict[str, Any]) -> CreateResponse:
    """The request in a frame; raises an `AppError` that names what is wrong with it."""
    fields = dict(body)
    if fields.pop("type", None) != "response.create":
        raise InvalidRequestError("A frame's type must be 'response.create'.", param="type")
    for name in _OF_HTTP_ONLY:
        if name in fields:
            message = f"'{name}' is not taken on a WebSocket."
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")
    try:
        return CreateResponse.model_validate(fields)
    except ValidationError as error:
        raise refusal_of(error, fields) from None


def _error_frame(error: AppError) -> str:
    payload = error.payload()
    payload["code"] = payload["code"] or error.type
    frame = {"type": "error", "status": error.http_status, "error": payload}
    return orjson.dumps(frame).decode()
