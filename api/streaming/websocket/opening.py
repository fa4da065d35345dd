"""Responses whose events a turn sends: new ones, and ones that were created before.

Functions of this module run in threads.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from api.http.body_budget import handling
from api.http.strict_json import parse_object
from api.services import Services
from api.streaming.websocket.client_events import ResumeResponse, parse_create, parse_event
from api.streaming.websocket.contexts import ConnectionContexts, UnstoredContext
from api.streaming.websocket.frames import FrameSocket, ReceivedMessage
from models.access.caller import Caller
from models.access.scopes import Scope
from models.encryption.response import ResponseCipher
from models.errors import PreviousResponseNotFoundError, ResponseNotFoundError
from models.ids import parse_response_id
from models.metrics.recorder import RECORDER
from models.metrics.table import STREAM_RESUMES
from models.responses.record import ResponseRecord
from models.schemas.request.create_response import CreateResponse
from models.settings import EventNaming
from models.streams.event_log import LoggedEvent

_SUCCESS_STATUSES = ("completed", "incomplete")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnActions:
    """Functions that begin, find and end responses, called in threads."""

    create: Callable[[CreateResponse, UnstoredContext | None], ResponseRecord]
    find: Callable[[str, UUID], ResponseRecord | None]
    """Function that returns a response of a project, unless clients cannot find it."""
    cancel: Callable[[ResponseRecord], object]
    clean_up: Callable[[ResponseRecord, bool], object]
    """Function called at the end of a new response; True cancels it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """State that all turns of one connection share."""

    services: Services
    caller: Caller
    socket: FrameSocket
    client: str
    naming: EventNaming
    actions: TurnActions
    contexts: ConnectionContexts


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenResponse:
    """Response, and the number of the first event to send."""

    record: ResponseRecord
    start: int = 0
    is_new: bool = True
    """True if it was created for this turn."""
    previous: object = field(default=None)
    """Id of the response that it continues, as the client sent it."""


def create(session: Session, stream_id: str | None, message: ReceivedMessage) -> OpenResponse:
    """Create the response that a message requests."""
    body: dict[str, Any] = {}
    try:
        body = parse_object(message.take())
        request = parse_create(body)
        with handling(message.lease):
            record = session.actions.create(request, session.contexts.find(request))
    except Exception:
        session.contexts.evict(stream_id, body.get("previous_response_id"))
        raise
    finally:
        message.lease.release()
    return OpenResponse(record=record, previous=body.get("previous_response_id"))


def resume(session: Session, message: ReceivedMessage) -> OpenResponse:
    """Find the response whose events a message requests: a stored or a temporary one.

    Raise a 403 if the key of the connection must not read.
    """
    try:
        session.caller.require(Scope.RESPONSES_READ)
        event = parse_event(message.take(), ResumeResponse)
    finally:
        message.lease.release()
    response_id = parse_response_id(event.response_id)
    record = None
    if response_id is not None:
        record = session.actions.find(session.caller.project_id, response_id)
    if record is None:
        raise ResponseNotFoundError(event.response_id)
    start = 0 if event.starting_after is None else event.starting_after + 1
    if start:
        RECORDER.count(STREAM_RESUMES)
    return OpenResponse(record=record, start=start, is_new=False)


def keep_context(
    session: Session, stream_id: str | None, opened: OpenResponse, end: LoggedEvent
) -> None:
    """Keep the context of an unstored response that has ended; evict the previous if it failed.

    Raise an `AppError` if the context is too large, or is gone.
    """
    record = opened.record
    response = orjson.loads(end.data)["response"]
    if response["status"] not in _SUCCESS_STATUSES:
        session.contexts.evict(stream_id, opened.previous)
        return
    services = session.services
    content = None if record.store else services.unstored.get(ResponseCipher.of(record))
    if content is None:
        return
    before = None if content.has_context else record.previous_response_id
    chain = _chain(session, before) if before else []
    session.contexts.keep(stream_id, record.id, chain + content.items + response["output"])


def _chain(session: Session, response_id: UUID) -> list[dict[str, Any]]:
    """Return the items of a stored response and of all before it; raise a 404 if it is gone."""
    store = session.services.store
    items = store.items.of_chain(session.caller.project_id, response_id)
    # A warm-up may have no items.
    if not (items or store.responses.statuses([(session.caller.project_id, response_id)])):
        raise PreviousResponseNotFoundError
    return items
