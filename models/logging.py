"""Structured logs: one JSON object per line on standard error."""

import logging
import sys
from copy import copy
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

_NAMES = {
    "levelname": "level",
    "name": "logger",
    "message": "event",
    "exc_info": "exception",
}
"""Attribute of a log record → key of the line."""


class JsonFormatter(OrjsonFormatter):
    """Formatter of a log record as JSON: `ts`, `level`, `logger`, `event` and its `extra` keys.

    A traceback is stored under `exception`.
    """

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"], style=",", rename_fields=_NAMES, json_default=str
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a message that is no text is written as text."""
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


def configure_logging(level: str) -> None:
    """Send the records of every logger to standard error as JSON, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Celery logs every wake-up task at INFO; the responses' own log lines say what came of it.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    # It warns of every try to reach the broker; `worker/process/consumer.py` logs each outage once.
    logging.getLogger("celery.worker.consumer.consumer").setLevel(logging.ERROR)
