"""Errors and log lines never repeat what clients sent at length (finding B6)."""

import io
import logging
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from models.errors import MAX_MESSAGE_BYTES, MAX_PARAM_BYTES, AppError, shorten
from models.logging import MAX_TRACEBACK_BYTES, MAX_TRACEBACKS, JsonFormatter, TracebackLimit
from tests.integration.api.requests import error_of, parsed

LONG = "ä" * 500_000
USER = {"role": "user", "content": "a"}
TOOL = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    "body",
    [
        {LONG: 1},
        {"input": "a", LONG: 1},
        {"input": [{LONG: 1, **USER}]},
        {"input": [{"type": LONG}]},
        {"input": [{"type": "item_reference", "id": "x" * 128}]},
        {"input": "a", "model": LONG},
        {"input": "a", "previous_response_id": LONG},
        {"input": "a", "conversation": LONG},
        {"input": "a", "metadata": {LONG: "a"}},
        {"input": "a", "logit_bias": {LONG: 1}},
        {"input": "a", "tools": [{**TOOL, "name": LONG}]},
        {"input": "a", "tools": [{**TOOL, LONG: 1}]},
        {"input": "a", "tool_choice": {"type": LONG}},
        {"input": "a", "include": [LONG]},
        {"input": "a", "text": {"format": {"type": LONG}}},
        {"input": "a", "grammar": {"type": "regex", "value": "(" * 10_000}},
        {"input": [USER, {"role": LONG, "content": "a"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": LONG}]}]},
        {"input": "a", "a": {LONG: "\0"}},
    ],
    ids=lambda body: ",".join(name[:20] for name in body),
)
def test_no_error_repeats_long_input(http: FlaskClient, body: dict[str, Any]) -> None:
    answer = http.post("/v1/responses", json={**body, "background": True})

    error = error_of(answer)
    assert 400 <= answer.status_code < 500
    assert len(error["message"].encode()) <= 1024
    assert len(answer.data) <= 2048


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/responses/{LONG[:60_000]}",
        f"/v1/responses?{LONG[:60_000]}=1",
        f"/v1/responses?after={LONG[:60_000]}",
        f"/v1/conversations/{LONG[:60_000]}/items/{LONG[:60_000]}",
        f"/{LONG[:60_000]}",
    ],
    ids=lambda path: path[:20],
)
def test_nor_a_long_path(http: FlaskClient, path: str) -> None:
    answer = http.get(path)

    assert len(error_of(answer)["message"].encode()) <= 1024
    assert len(answer.data) <= 2048


def test_both_ends_of_a_message_are_kept() -> None:
    error = AppError(f"Response '{LONG}' not found.", param=LONG)

    assert error.message.startswith("Response 'ää")
    assert error.message.endswith("ää' not found.")
    assert len(error.message.encode()) <= MAX_MESSAGE_BYTES
    assert len(str(error.param).encode()) <= MAX_PARAM_BYTES


@pytest.mark.parametrize("text", ["", "a" * 100, "ä" * 50, "\U0001f600" * 25, "\ud800"])
def test_text_that_is_not_long_stays_as_it_is(text: str) -> None:
    assert shorten(text, 100) == text


@pytest.mark.parametrize("text", ["a" * 101, "ä" * 51, "\U0001f600" * 26, "\ud800" * 1000])
def test_long_text_is_cut_between_characters(text: str) -> None:
    short = shorten(text, 100)

    assert len(short.encode()) <= 100
    assert " … " in short


def lines_of(log: Any, **extra: object) -> list[dict[str, Any]]:
    """Return the lines that a function logs to the logger it is given."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    log(logger)
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def fail(text: str) -> None:
    raise ValueError(text)


def test_lines_of_the_log_are_bounded() -> None:
    def log(logger: logging.Logger) -> None:
        try:
            fail(LONG)
        except ValueError:
            logger.exception("failed: %s", LONG, extra={"path": LONG, "list": [LONG], "n": 3})

    [line] = lines_of(log)

    assert len(orjson.dumps(line)) < 3 * 2000 + MAX_TRACEBACK_BYTES + 500
    assert line["n"] == 3
    assert "ValueError" in line["exception"]


def test_repeated_tracebacks_are_logged_a_few_times() -> None:
    def log(logger: logging.Logger) -> None:
        for number in range(MAX_TRACEBACKS + 2):
            try:
                fail(str(number))
            except ValueError:
                logger.exception("failed")

    lines = lines_of(log)

    assert ["exception" in line for line in lines] == [True] * MAX_TRACEBACKS + [False] * 2
    assert lines[-1]["repeated"] == MAX_TRACEBACKS + 2
    assert lines[-1]["error"] == f"ValueError('{MAX_TRACEBACKS + 1}')"


def test_and_again_after_the_period() -> None:
    now = 0.0
    limit = TracebackLimit(clock=lambda: now)
    try:
        fail("a")
    except ValueError as error:
        found = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("test", logging.ERROR, "", 1, "failed", (), found)

    first = [limit.apply(record).exc_info is None for _ in range(MAX_TRACEBACKS + 1)]
    now = 61.0

    assert first == [False] * MAX_TRACEBACKS + [True]
    assert limit.apply(record).exc_info == found


def test_the_whole_answer_is_in_the_one_format(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", data=b"{", content_type="application/json")

    assert set(parsed(answer)["error"]) == {"message", "type", "param", "code"}
    assert error_of(answer)["code"] == "invalid_json"
