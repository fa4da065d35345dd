"""Mutants: test builds with one guarantee switched off, each of which the checker must detect.

A mutant is a set of patches, applied to modules right after their import. This module imports
nothing of the project, because it runs at the start of every process of the test build.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

Patch = Callable[[Any], None]

_COMMIT_LATE_S = 0.7
_CLOCK_AHEAD = "(now() + interval '1 hour')"


def _end_unfenced(endings: Any) -> None:
    """Let a worker finish a response that another has taken over."""
    fence = "AND attempt = :attempt"
    for name in ("_FINISH_IN_CLEAR", "_FINISH_WITH_TURN"):
        setattr(endings, name, endings.text(_without(getattr(endings, name).text, fence)))


def _hand_back_unfenced(claims: Any) -> None:
    """Let a worker hand back a response that another has taken over."""
    fence = "AND r.attempt = held.attempt"
    claims._HAND_BACK = claims.text(_without(claims._HAND_BACK.text, fence))


def _without_log_fence(event_log: Any) -> None:
    """Let a worker append to the log of a response that another has taken over."""
    fence = "if attempt < fence then return 'STALE' end"
    event_log._APPEND = _without(event_log._APPEND, fence)


def _deaf(reconciler: Any) -> None:
    """Keep a worker running whose lease has expired or is about to."""
    _replace(reconciler.Reconciler, "release_all", lambda self: None)


def _without_wake_ups(maintenance: Any) -> None:
    """Never resend a lost wake-up."""
    _replace(maintenance.Maintenance, "wake", lambda self: None)


def _blind(poller: Any) -> None:
    """Keep workers from polling for work without a wake-up."""
    _replace(poller.Poller, "poll", lambda self: None)


def _answer_early(responses: Any) -> None:
    """Answer a create request before the response is committed."""
    create = responses.Responses.create

    def create_later(self: Any, *arguments: Any) -> None:
        threading.Timer(_COMMIT_LATE_S, create, (self, *arguments)).start()

    _replace(responses.Responses, "create", create_later)


def _end_early(finalizer: Any) -> None:
    """Publish the terminal event before the end is committed."""
    finish = finalizer.Finalizer.finish

    def publish_and_finish(self: Any, recorder: Any, cause: Any) -> None:
        finish_recording, publish = recorder.finish, recorder.publish_end

        def finish_and_publish(cause: Any) -> Any:
            terminal = finish_recording(cause)
            publish()
            time.sleep(_COMMIT_LATE_S)
            return terminal

        recorder.finish, recorder.publish_end = finish_and_publish, lambda: None
        finish(self, recorder, cause)

    _replace(finalizer.Finalizer, "finish", publish_and_finish)


def _by_host_clock(workers: Any) -> None:
    """Compute leases by the clock of a host that is an hour ahead of the database."""
    for name in ("_REGISTER", "_RENEW"):
        statement = getattr(workers, name).text
        lease = "now() + :lease_s"
        assert lease in statement, name
        ahead = statement.replace(lease, f"{_CLOCK_AHEAD} + :lease_s")
        setattr(workers, name, workers.text(ahead))


def _unchecked(tail: Any) -> None:
    """Pass events on to the client without checking their sequence numbers."""

    def take(self: Any, events: Any) -> Any:
        for event in events:
            self.next_number = max(self.next_number, event.sequence_number + 1)
        return events

    async def receive(self: Any, message: bytes) -> Any:
        if not message:
            return await self._read(self._read_store)
        return tail.parse_message(message, self._cipher)

    _replace(tail.Tail, "_take", take)
    _replace(tail.Tail, "_receive", receive)


def _only_operational(connection: Any) -> None:
    """Take every error of Postgres that is none of the connection for one of the statement."""
    psycopg = connection.psycopg
    operational = (psycopg.OperationalError, psycopg.InterfaceError)
    _replace(connection, "is_value_error", lambda error: not isinstance(error, operational))


def _keep_stale_sessions(pool: Any) -> None:
    """Keep the sessions of a server that is no longer the primary."""
    _replace(pool, "is_session_stale", lambda error: False)


def _lose_threads(vital_thread: Any) -> None:
    """Let a process run on without a thread that it needs."""
    _replace(vital_thread, "end_process", lambda name: None)


def _always_beat(watchdog: Any) -> None:
    """Touch the liveness file whatever the worker can do."""
    check = watchdog.Watchdog.check

    def touch_and_check(self: Any) -> None:
        if self._pulse is not None:
            self._pulse.touch()
        check(self)

    _replace(watchdog.Watchdog, "check", touch_and_check)


def _impatient(consumer: Any) -> None:
    """End the consumer after errors that Celery takes for unrecoverable."""
    start = consumer.PatientConsumer.start

    def start_as_celery(self: Any) -> None:
        self.connection_errors = self.conninfo.connection_errors
        start(self)

    _replace(consumer.PatientConsumer, "start", start_as_celery)


def _exit_cleanly(main: Any) -> None:
    """Exit with code 0 when Celery has ended."""
    _replace(main, "EXIT_CONSUMER_LOST", 0)


def _replace(owner: Any, name: str, replacement: object) -> None:
    """Replace an attribute; fail if there is none, as the mutant would change nothing."""
    assert hasattr(owner, name), name
    setattr(owner, name, replacement)


def _without(text: str, part: str) -> str:
    """Return `text` without `part`; fail if the mutant would change nothing."""
    assert part in text, part
    return text.replace(part, "")


FENCING: dict[str, Patch] = {
    "models.store.finish": _end_unfenced,
    "models.store.claims": _hand_back_unfenced,
    "models.streams.event_log": _without_log_fence,
}
DEAFNESS: dict[str, Patch] = {"worker.process.reconciler": _deaf}

MUTANTS: dict[str, dict[str, Patch]] = {
    "fencing": FENCING | DEAFNESS,
    "self-stop": DEAFNESS,
    "repeated wake-ups": {
        "worker.maintenance.maintenance": _without_wake_ups,
        "worker.process.poller": _blind,
    },
    "wake-ups": {"worker.maintenance.maintenance": _without_wake_ups},
    "answer after commit": {"models.store.responses": _answer_early},
    "end after commit": {"worker.generation.finalizer": _end_early},
    "database clock": {"models.store.workers": _by_host_clock},
    "sequence check": {"api.streaming.tail": _unchecked},
    "every error an outage": {"models.database.connection": _only_operational},
    "new sessions": {"models.database.pool": _keep_stale_sessions},
    "vital threads": {"models.vital_thread": _lose_threads},
    "true pulse": {"worker.process.watchdog": _always_beat},
    "patient consumer": {
        "worker.process.consumer": _impatient,
        "worker.main": _exit_cleanly,
    },
}
"""Patches by the guarantee that is switched off.

`self-stop` alone must break nothing, because of the fencing tokens; nor must `wake-ups`, because
workers poll for work. So `fencing` and `repeated wake-ups` switch off both.
"""
