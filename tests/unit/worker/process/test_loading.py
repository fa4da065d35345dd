import logging

import pytest

from worker.engine.interface import BadCheckpointError
from worker.process.loading import LoadError, loading


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BadCheckpointError("it lacks 1 tensor (w)"), "it lacks 1 tensor (w)"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (RuntimeError(), "RuntimeError:"),
    ],
)
def test_an_error_of_loading_is_one_line_and_its_traceback_is_for_debugging(
    error: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(LoadError) as caught, loading():
        raise error

    assert str(caught.value) == message
    assert [(record.levelname, record.exc_info is not None) for record in caplog.records] == [
        ("DEBUG", True)
    ]


def test_a_message_without_end_is_cut() -> None:
    with pytest.raises(LoadError) as caught, loading():
        raise ValueError("x" * 10_000)

    assert len(str(caught.value)) == 500
