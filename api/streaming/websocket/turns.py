"""Requests on a WebSocket: the same requests and events as over HTTP, one request at a time.

A client's frame is `{"type": "response.create", …}` with the body of a POST; a server's frame is
one event as JSON (specification 2026-04-24). A response that is not stored can be continued only on
the connection that created it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from api.http.body_budget import ORDINARY_BYTES
from api.http.errors import as_app_error
from api.http.strict_json import parse_object
from api.http.validation_errors import to_invalid_request
from api.services import Services
from api.streaming.tail import Tail
from api.streaming.websocket.frames import NORMAL, FrameSocket, ReceivedMessage, SocketClosedError
from api.validation.context import Context
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
from models.settings import EventNaming
from models.streams.event_log import LoggedEvent

_FIXED_FIELDS = {"stream": True, "stream_options": None, "background": False}
"""Fields that have one value on a WebSocket; clients may send it, or null."""
_SUCCESS_STATUSES = ("completed", "incomplete")


@dataclass(frozen=True, slots=True)
class TurnActions:
    """Functions that begin and end a turn, called in threads."""

    create: Callable[[CreateResponse, Context | None], ResponseRecord]
    clean_up: Callable[[ResponseRecord, bool], object]
    """Function called at the end; True cancels the response."""


class Turns:
    """Requests of one connection, run in sequence, and the cached context between them.

    Coroutines run in the event loop; whatever validates or reads runs in threads.
    """

    def __init__(
        self,
        services: Services,
        project_id: str,
        socket: FrameSocket,
        actions: TurnActions,
        naming: EventNaming,
    ) -> None:
        self._services = services
        self._project_id = project_id
        self._socket = socket
        self._actions = actions
        self._naming = naming
        self._expires_at = time.monotonic() + services.timings.max_age_s
        self._continuable: ResponseRecord | None = None
        """Last response that was not stored, if it can be continued."""

    async def serve(self) -> None:
        """Answer requests until the client disconnects or the connection is too old."""
        try:
            while (left_s := self._expires_at - time.monotonic()) > 0:
                message = await self._socket.next(left_s)
                if message is not None:
                    await self._handle(message)
            self._socket.send(format_error(ConnectionExpiredError()))
            self._socket.close(NORMAL)
        finally:
            self._set_continuable(None)

    async def _handle(self, message: ReceivedMessage) -> None:
        loop = self._services.loop
        pool = loop.large if len(message.data) > ORDINARY_BYTES else loop.requests
        created = asyncio.wrap_future(pool.submit(self._create, message))
        try:
            record, previous = await asyncio.shield(created)
        except asyncio.CancelledError:
            # The client has left meanwhile: what the thread creates is cancelled.
            created.add_done_callback(self._cancel_created)
            raise
        except Exception as error:
            self._socket.send(format_error(as_app_error(error)))
        else:
            await self._follow(record, previous)
        await self._socket.drain()

    def _create(self, message: ReceivedMessage) -> tuple[ResponseRecord, object]:
        """Create the response that a message requests; called in a thread.

        Return it with the id of the response that it continues, as the client sent it.
        """
        body: dict[str, Any] = {}
        try:
            body = parse_object(message.take())
            request = _parse_request(body)
            context = self._get_cached_context(request)
            record = self._actions.create(request, context)
        except Exception:
            self._evict(body.get("previous_response_id"))
            raise
        finally:
            message.lease.release()
        return record, body.get("previous_response_id")

    async def _follow(self, record: ResponseRecord, previous: object) -> None:
        loop = self._services.loop
        try:
            tail = Tail(self._services, record, naming=self._naming)
            async with aclosing(tail.follow()) as batches:
                async for events in batches:
                    for event in events:
                        self._socket.send(event.data)
                    await self._socket.drain()
                    if events[-1].is_terminal:
                        await loop.read(self._cache_context, record, events[-1], previous)
        except (SocketClosedError, asyncio.CancelledError):
            loop.run_later(self._actions.clean_up, record, True)
            raise
        except AppError as error:
            self._evict(previous)
            self._socket.send(format_error(error))
        await loop.read(self._actions.clean_up, record, False)

    def _cancel_created(self, created: "asyncio.Future[tuple[ResponseRecord, object]]") -> None:
        if created.exception() is None:
            record, _ = created.result()
            self._services.loop.run_later(self._actions.clean_up, record, True)

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

    def _cache_context(self, record: ResponseRecord, end: LoggedEvent, previous: object) -> None:
        """Cache the context of an unstored response; evict the previous one if it failed."""
        response = orjson.loads(end.data)["response"]
        if response["status"] not in _SUCCESS_STATUSES:
            self._evict(previous)
            return
        content = None if record.store else self._services.unstored.get(UnstoredCipher.of(record))
        if content is None:
            return
        before = None if content.has_context else record.previous_response_id
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
    for name, fixed in _FIXED_FIELDS.items():
        value = fields.pop(name, None)
        if value is not None and value is not fixed:
            message = f"'{name}' cannot have this value on a WebSocket."
            raise InvalidRequestError(message, param=name, code="unsupported_parameter")
    try:
        return CreateResponse.model_validate(fields)
    except ValidationError as error:
        raise to_invalid_request(error, fields) from None


def format_error(error: AppError) -> bytes:
    """Return the message that reports an error."""
    payload = error.payload()
    payload["code"] = payload["code"] or error.type
    frame = {"type": "error", "status": error.http_status, "error": payload}
    return orjson.dumps(frame)
