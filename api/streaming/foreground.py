"""Foreground requests: the same job, its client waiting on the connection.

When that client goes away the response is cancelled; a background one goes on.
"""

import logging
import time

import redis
from flask import Response

from api.cancellation import request_cancel
from api.services import Services
from api.streaming.client_disconnect import LISTEN_S, connection_of_request, is_closed
from api.streaming.sse import event_stream
from api.streaming.tail import EventsLostError, Tail, final_response
from models.errors import AppError, OverloadedError
from models.responses.record import StoredResponse

logger = logging.getLogger(__name__)


class ClientGoneError(AppError):
    """The client closed the connection before its answer."""


def stream_foreground(at: Services, stored: StoredResponse) -> Response:
    """The events as they come; what is not stored is gone once it was delivered."""
    try:
        response = event_stream(at, stored, start=0, on_gone=lambda: _abandon(at, stored))
    except OverloadedError:
        _abandon(at, stored)
        raise
    response.call_on_close(lambda: forget_unstored(at, stored))
    return response


def wait_foreground(at: Services, stored: StoredResponse) -> Response:
    """The final object."""
    return Response(wait_for_end(at, stored), mimetype="application/json")


def wait_for_end(at: Services, stored: StoredResponse) -> bytes:
    """The JSON of the final object; what is not stored is gone then."""
    try:
        with at.hub.place():
            return _wait(at, stored)
    except OverloadedError:
        _abandon(at, stored)
        raise
    finally:
        forget_unstored(at, stored)


def wait_again(at: Services, stored: StoredResponse) -> Response:
    """The final object of a response that another connection waits for and may abandon."""
    with at.hub.place():
        return Response(_wait(at, stored, may_abandon=False), mimetype="application/json")


def _wait(at: Services, stored: StoredResponse, *, may_abandon: bool = True) -> bytes:
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
                        _abandon(at, stored)
                    raise ClientGoneError
    except EventsLostError:
        if tail.end is None:
            raise
        # Whoever waits for the end has seen no event that could contradict it.
        return final_response(tail.end)
    raise AssertionError("a stream of events ended without its terminal event")


def _abandon(at: Services, stored: StoredResponse) -> None:
    request_cancel(at, stored)


def forget_unstored(at: Services, stored: StoredResponse) -> None:
    """Remove what is not to be stored, now that it was delivered."""
    if stored.store:
        return
    try:
        at.unstored.forget(stored.id)
        at.log.forget([stored.id])
    except redis.RedisError as error:
        logger.warning("left to run out", extra={"id": stored.id.hex, "error": str(error)})
