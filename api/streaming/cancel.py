"""Cancellation of responses, and deletion of what is not stored."""

import asyncio
import logging
from contextlib import aclosing

import redis

from api.services import Services
from api.streaming.tail import Tail
from models.errors import UnavailableError
from models.recording.finalize import finalize_orphan
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from models.streams.cancel_channel import publish_cancel

logger = logging.getLogger(__name__)

CANCELLED = EndingCause(status=ResponseStatus.CANCELLED)


def clean_up(services: Services, record: ResponseRecord, is_cancelled: bool) -> None:
    """Clean up after a foreground request: cancel its response, or only delete what is unstored."""
    try:
        if is_cancelled:
            request_cancel(services, record)
    finally:
        forget_unstored(services, record)


def cancel(services: Services, record: ResponseRecord) -> None:
    """Cancel a response and return once it has ended, cancelled or otherwise."""
    current = request_cancel(services, record)
    if current is None or current.status is ResponseStatus.QUEUED:
        return
    if not services.loop.spawn(_ends_in_time(services, current)).result():
        finalize_orphan(
            services.store, services.log, services.unstored, services.windows, current, CANCELLED
        )


def request_cancel(services: Services, record: ResponseRecord) -> ResponseRecord | None:
    """Request a cancel without waiting; a queued response ends at once.

    Return the response's record, or None if it has already ended.
    """
    current = services.store.claims.request_cancel(record.project_id, record.id)
    if current is None:
        return None
    if current.status is ResponseStatus.QUEUED and finalize_orphan(
        services.store, services.log, services.unstored, services.windows, current, CANCELLED
    ):
        return current
    try:
        publish_cancel(services.client, current.id)
    except redis.RedisError as error:
        # The worker reads the flag in the row with its next heartbeat.
        logger.warning("cancel message not published", extra={"error": str(error)})
    return services.store.claims.request_cancel(record.project_id, record.id)


def delete_response(services: Services, record: ResponseRecord) -> bool:
    """Delete a response, its items and its events; stop it if it runs.

    Return False if it has been deleted meanwhile.
    """
    if record.status not in TERMINAL:
        request_cancel(services, record)
    if services.store.responses.delete(record.project_id, record.id) is None:
        return False
    try:
        services.log.forget([record.id])
        if not record.store:
            services.unstored.forget(record.id)
    except redis.RedisError as error:
        # The store has deleted the response; retention will delete its log from Redis.
        logger.warning("log not deleted", extra={"error": str(error)})
    services.log.wake_readers(record.id)  # current readers then see that it is gone
    return True


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


async def _ends_in_time(services: Services, record: ResponseRecord) -> bool:
    """Return True if the response ends within `cancel_s` seconds."""
    try:
        async with (
            asyncio.timeout(services.timings.cancel_s),
            aclosing(Tail(services, record).follow()) as batches,
        ):
            async for events in batches:
                if events[-1].is_terminal:
                    return True
    except TimeoutError:
        return False
    return False
