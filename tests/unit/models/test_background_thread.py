import logging
import subprocess
import sys
import threading

import pytest
import redis

from models.background_thread import BackgroundThread
from models.errors import UnavailableError
from models.outages import LONGEST_DELAY_S, StatementError, retry_delay_s
from models.vital_thread import EXIT_THREAD_LOST
from tests.polling import PATIENCE_S, eventually


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

    assert called.wait(PATIENCE_S)
    thread.stop()


@pytest.mark.parametrize(
    "error",
    [UnavailableError(), StatementError("twice"), redis.RedisError(), OSError()],
    ids=["database", "statement", "redis", "socket"],
)
def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[None] = []

    def fail_thrice() -> None:
        calls.append(None)
        if len(calls) <= 3:
            raise error

    thread = BackgroundThread("it", fail_thrice, interval_s=0.001, message="nothing written")
    with caplog.at_level(logging.WARNING):
        thread.start()
        eventually(lambda: len(calls) > 4)
        thread.stop()

    assert caplog.messages == ["nothing written", "over: nothing written"]
    assert caplog.records[0].name == __name__
    assert caplog.records[1].num_failures == 3  # type: ignore[attr-defined]


def test_tries_are_spaced_out_while_they_fail() -> None:
    delays = [retry_delay_s(num_failures) for num_failures in range(1, 50)]

    assert all(0.1 < delay <= LONGEST_DELAY_S for delay in delays)
    assert max(delays[:1]) < min(delays[10:])


_LOST_THREAD = """
import threading
from models.background_thread import BackgroundThread

def fail():
    raise KeyError("unexpected")

BackgroundThread("doomed", fail, interval_s=0.01).start()
threading.Event().wait(60)
"""


def test_an_unexpected_error_ends_the_process_with_an_exit_code() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _LOST_THREAD], capture_output=True, text=True, timeout=PATIENCE_S
    )

    assert ended.returncode == EXIT_THREAD_LOST
    assert "KeyError" in ended.stderr


def test_one_that_was_not_started_stops_at_once() -> None:
    thread = BackgroundThread("it", lambda: None, interval_s=60)

    thread.stop()

    assert not thread.is_started
