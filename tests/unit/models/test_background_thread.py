import logging
import threading

import pytest

from models.background_thread import BackgroundThread
from tests.polling import eventually


def test_it_calls_until_it_is_stopped() -> None:
    calls: list[None] = []
    thread = BackgroundThread("it", lambda: calls.append(None), interval_s=0.001)
    thread.start()

    eventually(lambda: len(calls) > 3)
    thread.stop()

    assert not any(running.name == "it" for running in threading.enumerate())


def test_the_first_call_may_come_at_once() -> None:
    called = threading.Event()
    thread = BackgroundThread("it", called.set, interval_s=60, is_immediate=True)
    thread.start()

    assert called.wait(10)
    thread.stop()


def test_an_expected_error_is_logged_and_the_next_call_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[None] = []

    def fail() -> None:
        calls.append(None)
        raise ValueError("away")

    thread = BackgroundThread(
        "it", fail, interval_s=0.001, errors=(ValueError,), message="nothing written"
    )
    with caplog.at_level(logging.WARNING):
        thread.start()
        eventually(lambda: len(calls) > 2)
        thread.stop()

    assert caplog.messages[:2] == ["nothing written"] * 2
    assert caplog.records[0].name == __name__
    assert caplog.records[0].error == "away"  # type: ignore[attr-defined]


def test_one_that_was_not_started_stops_at_once() -> None:
    thread = BackgroundThread("it", lambda: None, interval_s=60)

    thread.stop()

    assert not thread.is_started
