"""Log lines: one JSON object each, whatever is logged."""

import logging
import sys
from collections.abc import Iterator

import orjson
import pytest

from models.ids import new_id
from models.logging import JsonFormatter, configure_logging


def line_of(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, object] = orjson.loads(text)
    return line


def record_of(message: str, **fields: object) -> logging.LogRecord:
    values = {
        "name": "worker.generation.runner",
        "levelname": "INFO",
        "msg": message,
        "created": 0.25,
    }
    return logging.makeLogRecord(values | fields)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Yield the root logger, and restore it after the test."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers = []
    yield logger
    logger.handlers = handlers
    logger.setLevel(level)


def test_a_line_has_time_level_logger_event_and_extras() -> None:
    line = line_of(record_of("response %s", args=("finished",), status="completed", attempt=2))

    assert line == {
        "ts": "1970-01-01T00:00:00.250+00:00",
        "level": "INFO",
        "logger": "worker.generation.runner",
        "event": "response finished",
        "status": "completed",
        "attempt": 2,
    }


def test_a_message_of_several_lines_is_one_line() -> None:
    assert line_of(record_of("first\nsecond"))["event"] == "first\nsecond"


def test_a_message_that_is_no_text_is_written_as_text() -> None:
    record = record_of("")
    record.msg = {"message": "not this", "level": "NOR THIS"}

    line = line_of(record)

    assert line["event"] == "{'message': 'not this', 'level': 'NOR THIS'}"
    assert line["level"] == "INFO"


def test_a_traceback_is_part_of_its_line() -> None:
    try:
        int("broken")
    except ValueError:
        line = line_of(record_of("response failed", exc_info=sys.exc_info()))

    assert str(line["exception"]).startswith("Traceback")
    assert str(line["exception"]).endswith("'broken'")


def test_what_json_does_not_know_is_written_as_text() -> None:
    response_id = new_id()

    line = line_of(record_of("lost", response_id=response_id, error=OSError("gone")))

    assert (line["response_id"], line["error"]) == (str(response_id), "gone")


def test_lines_go_to_standard_error_from_the_chosen_level_on(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("WARNING")

    root.info("unheard")
    root.warning("heard")

    output = capsys.readouterr()
    assert [orjson.loads(line)["event"] for line in output.err.splitlines()] == ["heard"]
    assert output.out == ""


@pytest.mark.parametrize("name", ["httpx2", "httpcore2.http11", "mcp.client.streamable_http"])
@pytest.mark.usefixtures("root")
def test_what_is_sent_to_other_servers_is_not_logged(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("DEBUG")

    logging.getLogger(name).info("HTTP Request: POST https://mcp.example/?key=secret")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["celery.app.trace", "celery.worker.strategy"])
def test_wake_ups_that_celery_receives_are_not_logged(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    configure_logging("INFO")

    logging.getLogger(name).info("received")
    logging.getLogger("worker").info("claimed")

    lines = capsys.readouterr().err.splitlines()
    assert [orjson.loads(line)["event"] for line in lines] == ["claimed"]
