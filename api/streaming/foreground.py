"""Foreground requests, which wait for the end of a response, and cancellation.

If the client of a foreground request disconnects, the response is cancelled; a background response
continues.
"""

import logging
import time

import redis
from flask import Response

from api.services import Services
from api.streaming.client_disconnect import ClientGoneError, get_client_socket, is_closed
from api.streaming.tail import EventsLostError, Tail, extract_response
from models.errors import OverloadedError, UnavailableError
from models.recording.finalize import finalize_orphan
from models.recording.recorder import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.streams.cancel_channel import publish_cancel

logger = logging.getLogger(__name__)

CANCELLED = EndingCause(status=ResponseStatus.CANCELLED)


def wait_foreground(services: Services, record: ResponseRecord) -> Response:
    """Return the finished response as JSON; cancel it if the client disconnects."""
    return Response(wait_for_end(services, record), mimetype="application/json")


def wait_for_end(services: Services, record: ResponseRecord) -> bytes:
    """Return the JSON of the finished response; then delete its content if it is unstored."""
    try:
        with services.broadcaster.reserve_slot():
            return _wait(services, record)
    except OverloadedError:
        request_cancel(services, record)
        raise
    finally:
        forget_unstored(services, record)


def wait_without_cancel(services: Services, record: ResponseRecord) -> Response:
    """Return the finished response as JSON, without cancelling it if the client disconnects.

    This is for a response that another connection waits for, which alone can cancel it.
    """
    with services.broadcaster.reserve_slot():
        return Response(_wait(services, record, can_cancel=False), mimetype="application/json")


def _wait(services: Services, record: ResponseRecord, *, can_cancel: bool = True) -> bytes:
    check_s = services.timings.check_client_s
    connection = get_client_socket()
    checked_at = time.monotonic()
    tail = Tail(services, record)
    try:
        for event in tail.follow(idle_s=check_s):
            if event is not None and event.is_terminal:
                return extract_response(event)
            if time.monotonic() - checked_at >= check_s:
                checked_at = time.monotonic()
                if is_closed(connection):
                    if can_cancel:
                        request_cancel(services, record)
                    raise ClientGoneError
    except EventsLostError:
        if tail.terminal_event is None:
            raise
        # This client has seen no event that the terminal one could contradict.
        return extract_response(tail.terminal_event)
    raise AssertionError("a stream of events ended without its terminal event")


def forget_unstored(services: Services, record: ResponseRecord) -> None:
    """Delete the content, events and key of an unstored response after delivery."""
    if record.store:
        return
    try:
        services.unstored.forget(record.id)
        services.log.forget([record.id])
    except redis.RedisError as error:
        logger.warning("content not deleted", extra={"id": record.id.hex, "error": str(error)})
    try:
        services.store.responses.forget_key(record.project_id, record.id)
    except UnavailableError as error:
        logger.warning("key not deleted", extra={"id": record.id.hex, "error": str(error)})


def cancel(services: Services, record: ResponseRecord) -> None:
    """Cancel a response and return once it has ended, cancelled or otherwise."""
    current = request_cancel(services, record)
    if current is None or current.status is ResponseStatus.QUEUED:
        return
    if not _await_worker(services, current):
        finalize_orphan(services.store, services.log, current, CANCELLED)


def request_cancel(services: Services, record: ResponseRecord) -> ResponseRecord | None:
    """Request a cancel without waiting; a queued response ends at once.

    Return the response's record, or None if it has already ended.
    """
    current = services.store.claims.request_cancel(record.project_id, record.id)
    if current is None:
        return None
    if current.status is ResponseStatus.QUEUED and finalize_orphan(
        services.store, services.log, current, CANCELLED
    ):
        return current
    try:
        publish_cancel(services.client, current.id)
    except redis.RedisError as error:
        # The worker reads the flag in the row with its next heartbeat.
        logger.warning("cancel message not published", extra={"error": str(error)})
    return services.store.claims.request_cancel(record.project_id, record.id)


def _await_worker(services: Services, record: ResponseRecord) -> bool:
    """Return True if the response ends within `cancel_s` seconds."""
    deadline = time.monotonic() + services.timings.cancel_s
    for event in Tail(services, record).follow(idle_s=0.1):
        if event is not None and event.is_terminal:
            return True
        if time.monotonic() > deadline:
            break
    return False
