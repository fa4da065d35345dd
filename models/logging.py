"""Structured logs: one JSON object per line on standard error, of limited size."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from models.errors import shorten
from models.tracing.spans import current_span, trace_id_of

MAX_VALUE_BYTES = 2000
"""Size of one value of a line."""
MAX_TRACEBACK_BYTES = 8000
MAX_TRACEBACKS = 5
"""Tracebacks of one cause that are logged in each period; lines are not limited in number."""
PERIOD_S = 60.0

_NAMES = {
    "levelname": "level",
    "name": "logger",
    "message": "event",
    "exc_info": "exception",
}
"""Attribute of a log record → key of the line."""


class TracebackLimit:
    """Limit of repeated tracebacks: what one client can cause at will must not fill the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = 0.0
        self._counts: Counter[object] = Counter()

    def apply(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record, without its traceback if that was logged often in this period.

        `repeated` then counts the records with the same cause in this period.
        """
        if not record.exc_info or record.exc_info[0] is None:
            return record
        if self._clock() >= self._ends_at:
            self._counts.clear()
            self._ends_at = self._clock() + PERIOD_S
        kind, error, traceback = record.exc_info
        places = [(frame.f_code, line) for frame, line in walk_tb(traceback)]
        cause = (record.name, record.msg, kind, *places[-1:])
        self._counts[cause] += 1
        if self._counts[cause] <= MAX_TRACEBACKS:
            return record
        record = copy(record)
        record.exc_info = record.exc_text = None
        record.error, record.repeated = repr(error), self._counts[cause]
        return record


class JsonFormatter(OrjsonFormatter):
    """Formatter of a log record as JSON: `ts`, `level`, `logger`, `event` and its `extra` keys.

    A traceback is stored under `exception`.
    """

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"], style=",", rename_fields=_NAMES, json_default=str
        )
        self._tracebacks = TracebackLimit()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a message that is no text is written as text."""
        record = self._tracebacks.apply(record)
        if not isinstance(record.msg, str):
            record = copy(record)
            record.msg = str(record.msg)
        return super().format(record)

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Add the time, in milliseconds and UTC, before all other fields."""
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["ts"] = moment.isoformat(timespec="milliseconds")
        super().add_fields(log_data, record, message_dict)
        if "trace_id" not in log_data and (traceparent := current_span().traceparent):
            log_data["trace_id"] = trace_id_of(traceparent)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Shorten long values: records may quote what clients sent."""
        return {name: _limit(name, value) for name, value in log_data.items()}


def _limit(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    short = shorten(text, MAX_TRACEBACK_BYTES if name == "exception" else MAX_VALUE_BYTES)
    return value if short == text else short


def configure_logging(level: str) -> None:
    """Send the records of every logger to standard error as JSON, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Celery logs every wake-up task at INFO; the responses' own log lines say what came of it.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    # Clients of other servers log every URL at INFO, which may hold a query or a token, and what is
    # sent at DEBUG.
    for name in ("httpx2", "httpcore2", "mcp", "client"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of every try to reach the broker; `worker/process/consumer.py` logs each outage once.
    logging.getLogger("celery.worker.consumer.consumer").setLevel(logging.ERROR)
