"""End of a response that has no worker: it was cancelled while queued, or its worker is lost."""

import redis

from models.errors import ContentLostError
from models.limits.settlement import settle
from models.limits.windows import Windows
from models.metrics.measures import measure_end
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause, failed_cause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tracing.tracer import TRACER

CONTENT_LOST = failed_cause(ContentLostError().message)
"""Failure recorded for a response whose content was lost while it waited."""


def finalize_orphan(
    store: Store,
    log: EventLog,
    unstored: UnstoredContents,
    windows: Windows,
    orphan: ResponseRecord,
    cause: EndingCause,
) -> bool:
    """Fence off the current attempt, keep the events that it has logged, and end the response.

    Returns False if the response ended, or moved to another attempt, before. Also if it is
    cancelled while its checkpoint has tokens that are not logged: it is then queued for a worker.
    So is a temporary response if Redis, without which it cannot end, fails; that error is raised.
    """
    record = store.claims.take_over(orphan)
    if record is None:
        return False
    try:
        recorder, logged = Recorder.resume(unstored.fill(record), log)
        is_cancel = cause.status is ResponseStatus.CANCELLED
        if is_cancel and record.checkpoint and record.checkpoint.beyond(logged):
            # Only a worker can turn tokens into events, and clients may have read those already:
            # the next worker to claim the response ends it, with its text so far.
            store.claims.hand_back([record])
            return False
        ending = recorder.finish(cause)
        if record.is_temporary:
            unstored.put_archive(recorder.record, ending.events)
    except redis.RedisError:
        store.claims.hand_back([record])
        raise
    is_finished = store.finisher.finish(record, ending)
    if is_finished:
        recorder.publish_end()
        settle(windows, record, ending)
        measure_end(record, ending)
        _trace_end(record, ending.status)
    return is_finished


def _trace_end(record: ResponseRecord, status: ResponseStatus) -> None:
    if record.traceparent is not None:
        attributes = {"antiphon.status": status.value}
        TRACER.start("finish", parent=record.traceparent, attributes=attributes).end()
