"""Concurrent actions of a client: cancel and delete, each on a thread of its own."""

import threading
import time
from collections.abc import Callable

from tests.chaos.journal import Record, seen_of
from tests.chaos.web import PATH, Answer, Http, Unreachable

PAUSE_S = 0.4

_NOT_KEPT = ("events_lost", "response_not_found")
"""Error codes allowed for an unstored response, on its connection or for its Idempotency-Key."""


class Asides:
    """Scheduled cancels and deletes of one client."""

    def __init__(self, web: Http, is_over: Callable[[], bool]) -> None:
        self._web = web
        self._is_over = is_over
        self._pause = threading.Event()
        self._timers: list[threading.Timer] = []

    def begin(self, record: Record) -> None:
        """Start the timers of the job's cancel and delete."""
        for after_s, act in (
            (record.job.cancel_after_s, self._cancel),
            (record.job.delete_after_s, self._delete),
        ):
            if after_s is not None and record.job.store:
                timer = threading.Timer(after_s, act, (record,))
                timer.daemon = True
                self._timers.append(timer)
                timer.start()

    def join(self) -> None:
        """Wait for all that are scheduled."""
        for timer in self._timers:
            timer.join()

    def _cancel(self, record: Record) -> None:
        while not self._is_over():
            try:
                answer = self._web.request("POST", f"{PATH}/{record.response_id}/cancel")
            except Unreachable:
                self._pause.wait(PAUSE_S)
                continue
            if answer.status == 200:
                seen = seen_of(answer.body, time.monotonic(), "cancel")
                record.seen.append(seen)
                if seen.status == "cancelled":
                    record.cancelled_at = seen.at
                return
            if not judge(record, answer):
                return
            self._pause.wait(PAUSE_S)

    def _delete(self, record: Record) -> None:
        record.delete_asked_at = time.monotonic()
        path = f"{PATH}/{record.response_id}"
        while not self._is_over():
            try:
                answer = self._web.request("DELETE", path)
                if answer.status in (200, 404):
                    record.deleted_at = time.monotonic()
                    self._pause.wait(PAUSE_S)
                    record.found_after_delete.append(self._web.request("GET", path).status)
                    return
                if not judge(record, answer):
                    return
            except Unreachable:
                pass
            self._pause.wait(PAUSE_S)


def judge(record: Record, answer: Answer) -> bool:
    """Return True if a refused request may be retried; record any other refusal as bad."""
    if answer.status == 503:
        if not (answer.retry_after or "").isdigit():
            record.bad_answers.append("503 without Retry-After")
        return True
    error = answer.body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if not record.job.store and code in _NOT_KEPT:
        return False
    record.bad_answers.append(f"{answer.status}: {answer.body}")
    return False
