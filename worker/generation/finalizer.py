"""End of a response in the worker: it is committed, and its terminal event published after that."""

import logging
import threading

import redis

from models.errors import AppError, UnavailableError
from models.limits.settlement import settle
from models.limits.windows import Windows
from models.metrics.measures import measure_end
from models.metrics.recorder import RECORDER
from models.metrics.table import FENCED_WRITES
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause, failed_cause
from models.responses.record import ResponseRecord
from models.store.finish import TerminalRecord
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tracing.spans import measured
from worker.generation.retry import WriteRetrier
from worker.generation.tracing import trace_end

logger = logging.getLogger(__name__)

PUBLISH_S = 4.0
"""Seconds to retry logging the end of a response without an archive while Redis is unreachable.

No reader waits longer for it.
"""


class Finalizer:
    """Writes the ends of responses; safe from any thread."""

    def __init__(
        self,
        store: Store,
        log: EventLog,
        unstored: UnstoredContents,
        windows: Windows,
        retrier: WriteRetrier,
    ) -> None:
        self._store = store
        self._log = log
        self._unstored = unstored
        self._windows = windows
        self._retrier = retrier

    def finish(self, recorder: Recorder, cause: EndingCause) -> None:
        """Write the end of a response, unless the attempt is stale."""
        with measured("finish"):
            self._finish(recorder, cause)

    def _finish(self, recorder: Recorder, cause: EndingCause) -> None:
        record = recorder.record
        recorder.flush()
        ending = recorder.finish(cause)
        trace_end(record, ending)
        if record.is_temporary:
            self._unstored.put_archive(record, ending.events)
        if self._commit(record, ending):
            self._publish(recorder)
            settle(self._windows, record, ending)
            measure_end(record, ending)
            logger.info("response finished", extra={**record.log_fields, "status": cause.status})
        else:
            # The response was ended or claimed by another process.
            RECORDER.count(FENCED_WRITES, "end")
            logger.info("end not written: the attempt is stale", extra=record.log_fields)
            self._leave_to_other(record, ending)

    def fail(self, claimed: ResponseRecord, error: Exception) -> None:
        """End a response that could not be run; clients see no internal details."""
        message = error.message if isinstance(error, AppError) else "The worker failed."
        record = self._unstored.fill(claimed)
        recorder, _ = Recorder.resume(record, self._log)
        self.finish(recorder, failed_cause(message))

    def forget_unwanted(self, record: ResponseRecord) -> None:
        """Delete the log and the key of an unstored response that its client has left.

        Then its content is gone, and it is cancelled or its key is gone, too. Otherwise Redis has
        lost the content, and the client may still have to read the end.
        """
        if record.has_archive:
            return
        try:
            if self._unstored.is_wanted(record.id):
                return
            row = self._store.responses.get_unstored(record.project_id, record.id)
            if row is None or row.cancel_requested or row.content_key is None:
                self._log.forget([record.id])
                self._store.responses.forget_key(record.project_id, record.id)
        except (redis.RedisError, UnavailableError):
            logger.warning("log left to run out", extra=record.log_fields)

    def _commit(self, record: ResponseRecord, ending: TerminalRecord) -> bool:
        """Commit the end and return True; return False if the attempt is stale.

        After an interrupted commit, the end may be stored already: that is no stale attempt.
        """
        finisher, was_interrupted = self._store.finisher, False

        def write() -> bool:
            nonlocal was_interrupted
            try:
                return finisher.finish(record, ending) or (
                    was_interrupted and finisher.has_ended(record)
                )
            except UnavailableError:
                was_interrupted = True
                raise

        return self._retrier.run(record, write)

    def _publish(self, recorder: Recorder) -> None:
        """Log the end; retry for a response of whose end there is no archive."""
        recorder.publish_end()
        pause = threading.Event()
        for _ in range(
            0 if recorder.record.has_archive else int(PUBLISH_S / self._retrier.retry_s)
        ):
            if recorder.pending() is None:
                return
            pause.wait(self._retrier.retry_s)
            recorder.flush()

    def _leave_to_other(self, record: ResponseRecord, ending: TerminalRecord) -> None:
        """Clean up after a deleted response; wake the readers of any other to read the store."""
        try:
            if self._store.responses.statuses([(record.project_id, record.id)]):
                self._log.wake_readers(record.id)
            else:
                settle(self._windows, record, ending)
                self._log.forget([record.id])
                if not record.store:
                    self._unstored.forget(record.id)
        except redis.RedisError:
            logger.warning("readers not woken", extra=record.log_fields)
