"""WebSocket on /v1/responses: the same requests and events as over HTTP, one request at a time.

A client's frame is `{"type": "response.create", …}` with the body of a POST; a server's frame is
one event as JSON (specification 2026-04-24). A response that is not stored can be continued only on
the connection that created it.
"""

import logging
import time
from typing import Any

import orjson
from flask import Blueprint
from flask_sock import Sock
from pydantic import ValidationError
from simple_websocket import ConnectionClosed, Server

from api.http.errors import as_app_error, to_invalid_request
from api.http.strict_json import MAX_BODY_BYTES, parse_object
from api.services import Services, project_id, services
from api.streaming.foreground import forget_unstored, request_cancel
from api.streaming.tail import Tail
from api.validation.context import Context
from api.validation.create_request import create_response
from models.encryption.unstored import UnstoredCipher
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

MAX_WAITING = 16
"""Number of requests that a client may send ahead on one connection."""
PING_S = 25
"""Seconds between two pings."""
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013
_HTTP_ONLY_FIELDS = ("stream", "stream_options", "background")
_SUCCESS_STATUSES = ("completed", "incomplete")

blueprint = Blueprint("websocket", __name__)
SOCK_SERVER_OPTIONS = {
    "ping_interval": PING_S,
    "max_message_size": MAX_BODY_BYTES,
    "receive_bytes": 2**16,
}


@Sock().route("/v1/responses", bp=blueprint)
def serve_websocket(socket: Server) -> None:
    """Serve one connection, which occupies one of the slots for streams."""
    app_services = services()
    try:
        with app_services.broadcaster.reserve_slot():
            Connection(app_services, project_id(), socket).serve()
    except AppError as error:
        socket.send(_format_error(error))
        socket.close(_TRY_AGAIN_LATER)
    except OSError:
        logger.debug("websocket lost")


class Connection:
    """WebSocket connection: runs its requests in sequence and caches the context between them."""

    def __init__(self, services: Services, project_id: str, socket: Server) -> None:
        self._services = services
        self._project_id = project_id
        self._socket = socket
        self._expires_at = time.monotonic() + services.timings.max_age_s
        self._continuable: ResponseRecord | None = None
        """Last response that was not stored, if it can be continued."""

    def serve(self) -> None:
        """Answer requests until the client disconnects or the connection is too old."""
        try:
            while (left_s := self._expires_at - time.monotonic()) > 0:
                message = self._socket.receive(timeout=left_s)
                if message is not None:
                    self._handle_message(message)
            self._socket.send(_format_error(ConnectionExpiredError()))
            self._socket.close()
        finally:
            self._set_continuable(None)

    def _handle_message(self, message: str | bytes) -> None:
        body: dict[str, Any] = {}
        try:
            body = parse_object(message.encode() if isinstance(message, str) else message)
            self._run(_parse_request(body), body.get("previous_response_id"))
        except (ConnectionClosed, OSError):
            raise
        except Exception as error:
            self._evict(body.get("previous_response_id"))
            self._socket.send(_format_error(as_app_error(error)))

    def _run(self, request: CreateResponse, previous: str | None) -> None:
        context = self._get_cached_context(request)
        record = create_response(self._services, self._project_id, request, context)
        try:
            for event in Tail(self._services, record).follow(
                idle_s=self._services.timings.check_client_s
            ):
                self._check_client()
                if event is not None:
                    self._socket.send(event.data.decode())
                    if event.is_terminal:
                        self._cache_context(record, event, previous)
        except (ConnectionClosed, OSError):
            request_cancel(self._services, record)
            raise
        finally:
            forget_unstored(self._services, record)

    def _check_client(self) -> None:
        """Raise `ConnectionClosed` if the client has left or has sent too many requests ahead."""
        if len(self._socket.input_buffer) > MAX_WAITING:
            self._socket.close(_POLICY_VIOLATION, f"At most {MAX_WAITING} requests may wait.")
        if not self._socket.connected:
            raise ConnectionClosed(self._socket.close_reason, self._socket.close_message)

    def _get_cached_context(self, request: CreateResponse) -> Context | None:
        """Return the context of the request if only this connection has it, else None.

        Raise an `AppError` if it was evicted, or if the request is to be stored.
        """
        previous = self._continuable
        if previous is None or request.previous_response_id != response_wire_id(previous.id):
            return None
        items = self._services.context_cache.get(previous.id)
        if items is None:
            message = f"Previous response with id '{request.previous_response_id}' not found."
            raise PreviousResponseNotFoundError(message, param="previous_response_id")
        if request.store:
            message = "The previous response was not stored: store must be false to go on."
            raise InvalidRequestError(message, param="store")
        return Context(previous_id=previous.id, items=items, is_inline=True)

    def _cache_context(
        self, record: ResponseRecord, end: LoggedEvent, previous: str | None
    ) -> None:
        """Cache the context of an unstored response; evict the previous one if it failed."""
        response = orjson.loads(end.data)["response"]
        if response["status"] not in _SUCCESS_STATUSES:
            self._evict(previous)
            return
        content = None if record.store else self._services.unstored.get(UnstoredCipher.of(record))
        if content is None:
            return
        before = record.previous_response_id
        chain = self._services.store.items.of_chain(self._project_id, before) if before else []
        self._set_continuable(record)
        self._services.context_cache.keep(record.id, chain + content.items + response["output"])

    def _set_continuable(self, record: ResponseRecord | None) -> None:
        if self._continuable is not None:
            self._services.context_cache.forget(self._continuable.id)
        self._continuable = record

    def _evict(self, wire_id: object) -> None:
        """Evict the cached context if `wire_id` names it: a turn that continued it has failed."""
        is_id = isinstance(wire_id, str)
        if is_id and self._continuable and parse_response_id(str(wire_id)) == self._continuable.id:
            self._set_continuable(None)


def _parse_request(body: dict[str, Any]) -> CreateResponse:
    """Parse the request in a frame; raise an `AppError` that names the first invalid field."""
    fields = dict(body)
    if fields.pop("type", None) != "response.create":
        raise InvalidRequestError("A frame's type must be 'response.create'.", param="type")
    for name in _HTTP_ONLY_FIELDS:
        if name in fields:
            message = f"'{name}' is not taken on a WebSocket."
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")
    try:
        return CreateResponse.model_validate(fields)
    except ValidationError as error:
        raise to_invalid_request(error, fields) from None


def _format_error(error: AppError) -> str:
    payload = error.payload()
    payload["code"] = payload["code"] or error.type
    frame = {"type": "error", "status": error.http_status, "error": payload}
    return orjson.dumps(frame).decode()
