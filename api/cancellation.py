"""Cancel: mark the row, nudge the worker, and end the response ourselves if none answers."""

import logging
import time

import redis

from api.services import Services
from api.streaming.tail import Tail
from models.recording.finalize import close_response
from models.recording.recorder import EndingCause
from models.responses.record import StoredResponse
from models.responses.status import ResponseStatus
from models.streams.cancel_channel import nudge_cancel

logger = logging.getLogger(__name__)

WORKER_ANSWERS_S = 0.8
"""How long the worker has to stop before its response is taken from it."""

CANCELLED = EndingCause(status=ResponseStatus.CANCELLED)


def cancel(at: Services, stored: StoredResponse) -> None:
    """Return when the response has ended: cancelled, or otherwise if that came first."""
    held = request_cancel(at, stored)
    if held is None or held.status is ResponseStatus.QUEUED:
        return
    if not _wait_for_end(at, held):
        close_response(at.store, at.log, held, CANCELLED)


def request_cancel(at: Services, stored: StoredResponse) -> StoredResponse | None:
    """Ask for the end without waiting; a queued response ends at once. None if it has ended."""
    held = at.store.claims.request_cancel(stored.project_id, stored.id)
    if held is None:
        return None
    if held.status is ResponseStatus.QUEUED and close_response(at.store, at.log, held, CANCELLED):
        return held
    try:
        nudge_cancel(at.client, held.id)
    except redis.RedisError as error:
        # The worker's next heartbeat brings it the mark in the row.
        logger.warning("cancel not nudged", extra={"error": str(error)})
    return at.store.claims.request_cancel(stored.project_id, stored.id)


def _wait_for_end(at: Services, held: StoredResponse) -> bool:
    deadline = time.monotonic() + WORKER_ANSWERS_S
    for event in Tail(at, held).follow(idle_s=0.1):
        if event is not None and event.is_terminal:
            return True
        if time.monotonic() > deadline:
            break
    return False
