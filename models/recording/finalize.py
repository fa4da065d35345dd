"""End a response in its worker's place: cancelled before it ran, or its worker is lost."""

from models.recording.recorder import EndingCause, Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.store import Store
from models.streams.event_log import EventLog


def finalize_orphan(store: Store, log: EventLog, held: ResponseRecord, cause: EndingCause) -> bool:
    """Shut out the holder, keep what it has logged, and end the response.

    Returns False if the response ended, or moved to another attempt, before.
    """
    taken = store.claims.take_over(held)
    if taken is None:
        return False
    recorder, logged = Recorder.resume(taken, log)
    is_cancel = cause.status is ResponseStatus.CANCELLED
    if is_cancel and taken.checkpoint and taken.checkpoint.beyond(logged):
        # Only a worker can make events of tokens, and clients may have read them: the next to claim
        # it ends it, with the text it had.
        store.claims.hand_back([taken])
        return False
    written = store.finisher.finish(taken, recorder.finish(cause))
    if written:
        recorder.publish_end()
    return written
