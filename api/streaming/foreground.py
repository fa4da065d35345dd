"""Wait for the end of a response on its client's connection, or bring it about.

When the client of a foreground request goes away the response is cancelled; a background one goes
on.
"""

import logging
import time

import redis
from flask import Response

from api.services import Services
from api.streaming.client_disconnect import LISTEN_S, connection_of_request, is_closed
from api.streaming.tail import EventsLostError, Tail, final_response
from models.errors import AppError, OverloadedError
from models.recording.finalize import finalize_orphan
from models.recording.recorder import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.streams.cancel_channel import publish_cancel

logger = logging.getLogger(__name__)

WORKER_ANSWERS_S = 0.8
"""How long the worker has to stop before its response is taken from it."""

CANCELLED = EndingCause(status=ResponseStatus.CANCELLED)


class ClientGoneError(AppError):
    """The client closed the connection before its answer."""


def wait_foreground(at: Services, stored: ResponseRecord) -> Response:
    """The final object."""
    return Response(wait_for_end(at, stored), mimetype="application/json")


def wait_for_end(at: Services, stored: ResponseRecord) -> bytes:
    """The JSON of the final object; what is not stored is gone then."""
    try:
        with at.broadcaster.place():
            return _wait(at, stored)
    except OverloadedError:
        request_cancel(at, stored)
        raise
    finally:
        forget_unstored(at, stored)


def wait_again(at: Services, stored: ResponseRecord) -> Response:
    """The final object of a response that another connection waits for and may abandon."""
    with at.broadcaster.place():
        return Response(_wait(at, stored, may_abandon=False), mimetype="application/json")


def _wait(at: Services, stored: ResponseRecord, *, may_abandon: bool = True) -> bytes:
    connection = connection_of_request()
    looked_at = time.monotonic()
    tail = Tail(at, stored)
    try:
        for event in tail.follow(idle_s=LISTEN_S):
            if event is not None and event.is_terminal:
                return final_response(event)
            if time.monotonic() - looked_at >= LISTEN_S:
                looked_at = time.monotonic()
                if is_closed(connection):
                    if may_abandon:
                        request_cancel(at, stored)
                    raise ClientGoneError
    except EventsLostError:
        if tail.end is None:
            raise
        # Whoever waits for the end has seen no event that could contradict it.
        return final_response(tail.end)
    raise AssertionError("a stream of events ended without its terminal event")


def forget_unstored(at: Services, stored: ResponseRecord) -> None:
    """Remove what is not to be stored, now that it was delivered."""
    if stored.store:
        return
    try:
        at.unstored.forget(stored.id)
        at.log.forget([stored.id])
    except redis.RedisError as error:
        logger.warning("left to run out", extra={"id": stored.id.hex, "error": str(error)})


def cancel(at: Services, stored: ResponseRecord) -> None:
    """Return when the response has ended: cancelled, or otherwise if that came first."""
    held = request_cancel(at, stored)
    if held is None or held.status is ResponseStatus.QUEUED:
        return
    if not _has_ended(at, held):
        finalize_orphan(at.store, at.log, held, CANCELLED)


def request_cancel(at: Services, stored: ResponseRecord) -> ResponseRecord | None:
    """Ask for the end without waiting; a queued response ends at once. None if it has ended."""
    held = at.store.claims.request_cancel(stored.project_id, stored.id)
    if held is None:
        return None
    if held.status is ResponseStatus.QUEUED and finalize_orphan(at.store, at.log, held, CANCELLED):
        return held
    try:
        publish_cancel(at.client, held.id)
    except redis.RedisError as error:
        # The worker's next heartbeat brings it the mark in the row.
        logger.warning("cancel not nudged", extra={"error": str(error)})
    return at.store.claims.request_cancel(stored.project_id, stored.id)


def _has_ended(at: Services, held: ResponseRecord) -> bool:
    deadline = time.monotonic() + WORKER_ANSWERS_S
    for event in Tail(at, held).follow(idle_s=0.1):
        if event is not None and event.is_terminal:
            return True
        if time.monotonic() > deadline:
            break
    return False
