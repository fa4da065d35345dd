"""Guarantees switched off, one at a time: the checker must find every one of them.

A mutant is, for some modules, what is done to them right after they were imported. Nothing of the
project is imported here: this runs at the start of every process of the test build.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

Patch = Callable[[Any], None]

_COMMIT_LATE_S = 0.7
_CLOCK_AHEAD = "(now() + interval '1 hour')"


def _end_unfenced(endings: Any) -> None:
    """A worker may end what is another's by now."""
    fence = "AND attempt = :attempt"
    endings._FINISH = endings.text(_without(endings._FINISH.text, fence))


def _hand_back_unfenced(claims: Any) -> None:
    """A worker may hand back what is another's by now."""
    fence = "AND r.attempt = mine.attempt"
    claims._HAND_BACK = claims.text(_without(claims._HAND_BACK.text, fence))


def _without_log_fence(event_log: Any) -> None:
    """A worker may append to the log of what is another's by now."""
    fence = "if attempt < fence then return 'STALE' end"
    event_log._APPEND = _without(event_log._APPEND, fence)


def _deaf(custody: Any) -> None:
    """A worker whose lease has run out, or is about to, does not stop by itself."""
    custody.Reconciler.lose = lambda self: None


def _without_hints(maintenance: Any) -> None:
    """A hint that was lost is not sent again."""
    maintenance.Maintenance.wake = lambda self: None


def _blind(poller: Any) -> None:
    """A worker that no hint tells of work does not look for it by itself."""
    poller.Poller.look = lambda self: None


def _answer_early(responses: Any) -> None:
    """A response is answered for before it is committed."""
    create = responses.Responses.create

    def create_later(self: Any, *arguments: Any) -> None:
        threading.Timer(_COMMIT_LATE_S, create, (self, *arguments)).start()

    responses.Responses.create = create_later


def _end_early(runner: Any) -> None:
    """The terminal event is published before the end is committed."""
    finish = runner.Runner._finish

    def publish_and_finish(self: Any, recorder: Any, cause: Any) -> None:
        seal, publish = recorder.seal, recorder.publish_end

        def seal_and_publish(cause: Any) -> Any:
            ending = seal(cause)
            publish()
            time.sleep(_COMMIT_LATE_S)
            return ending

        recorder.seal, recorder.publish_end = seal_and_publish, lambda: None
        finish(self, recorder, cause)

    runner.Runner._finish = publish_and_finish


def _by_host_clock(workers: Any) -> None:
    """Leases are reckoned on a host's clock, which is an hour ahead of the database's."""
    for name in ("_REGISTER", "_RENEW"):
        statement = getattr(workers, name).text
        lease = "now() + :lease_s"
        assert lease in statement, name
        ahead = statement.replace(lease, f"{_CLOCK_AHEAD} + :lease_s")
        setattr(workers, name, workers.text(ahead))


def _unchecked(tail: Any) -> None:
    """A stream passes on what it gets, whichever number it has."""

    def take(self: Any, events: Any) -> Any:
        for event in events:
            self.next_number = max(self.next_number, event.sequence_number + 1)
            yield event

    tail.Tail._take = take
    tail.Tail._without_gap = lambda self, events: events


def _without(text: str, part: str) -> str:
    """A mutant that changes nothing proves nothing."""
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
    "re-hint": {"worker.maintenance.maintenance": _without_hints, "worker.process.poller": _blind},
    "hints": {"worker.maintenance.maintenance": _without_hints},
    "answer after commit": {"models.store.responses": _answer_early},
    "end after commit": {"worker.generation.runner": _end_early},
    "database clock": {"models.store.workers": _by_host_clock},
    "sequence check": {"api.streaming.tail": _unchecked},
}
"""By the guarantee that is switched off.

`self-stop` alone must break nothing: the fence holds without it. So must `hints`: workers look for
themselves. That is why `fencing` and `re-hint` have both.
"""
