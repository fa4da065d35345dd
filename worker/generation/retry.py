"""Retries of writes that must not be lost while the database is unreachable."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from models.errors import UnavailableError
from models.outages import OutageLog, retry_delay_s
from models.responses.record import ResponseRecord

logger = logging.getLogger(__name__)

T = TypeVar("T")

HOLD_S = 60.0
"""Seconds to retry writing an end or a hand-back while the database is unreachable."""


class WriteRetrier:
    """Retries writes of the attempts that run here; safe from any thread."""

    def __init__(self, retry_s: float) -> None:
        """Create the retrier; `retry_s` is the longest time until the first retry."""
        self.retry_s = retry_s
        self._outages = OutageLog(logger, "writes held")

    def run(self, record: ResponseRecord, write: Callable[[], T]) -> T:
        """Call `write` and return its result; retry for `HOLD_S` while the database is unreachable.

        `write` is fenced by the attempt: repeating it, or being too late, changes nothing.
        """
        pause, deadline, num_failures = threading.Event(), time.monotonic() + HOLD_S, 0
        while time.monotonic() < deadline:
            try:
                result = write()
            except UnavailableError as error:
                num_failures += 1
                self._outages.failed(error, **record.log_fields)
                pause.wait(retry_delay_s(num_failures, self.retry_s))
            else:
                self._outages.succeeded()
                return result
        return write()
