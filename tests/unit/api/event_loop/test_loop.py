"""What is still done for clients that have left."""

import logging
from collections.abc import Iterator

import pytest

from api.event_loop.loop import EventLoop
from models.errors import UnavailableError
from tests.polling import eventually


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop(num_threads=1)
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("error", "message", "has_traceback"),
    [
        (UnavailableError(), "not done after a stream", False),
        (ValueError("a fault of ours"), "clean-up failed", True),
    ],
)
def test_a_clean_up_that_fails_is_logged_by_its_kind(
    loop: EventLoop,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
    has_traceback: bool,
) -> None:
    def fail() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        loop.run_later(fail)
        [record] = eventually(lambda: [r for r in caplog.records if r.message == message])

    assert (record.exc_info is not None) == has_traceback


def test_a_clean_up_after_one_that_failed_is_done(loop: EventLoop) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError

    for _ in range(8):
        loop.run_later(fail)
    loop.run_later(done.append, "done")

    assert eventually(lambda: done) == ["done"]
