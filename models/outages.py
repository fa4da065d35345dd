"""Outages of Postgres and Redis: the errors that mean one, the delays of retries, and their log."""

import logging
import random
import threading
import time

import redis

from models.errors import UnavailableError


class StatementError(Exception):
    """Raised when Postgres rejects a statement for its values; the message omits these."""


class DuplicateKeyError(StatementError):
    """Raised when Postgres rejects a row whose key another row has."""


OUTAGES = (UnavailableError, StatementError, redis.RedisError, OSError)
"""Errors that a thread survives: it tries again after a delay.

Any error of Postgres or Redis is among them, whatever its cause. A rejected value is no outage, but
it must not end a thread that serves others.
"""

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 2.0
"""Longest delay between two tries in seconds, so that service is back soon after an outage."""


def retry_delay_s(num_failures: int, first_s: float = FIRST_DELAY_S) -> float:
    """Return the seconds to wait after `num_failures` consecutive failures, with jitter.

    Exponential backoff, capped: processes that failed together do not all try again together.
    """
    delay_s = min(first_s * 2.0 ** min(num_failures - 1, 20), LONGEST_DELAY_S)
    return delay_s * random.uniform(0.5, 1.0)


_FORGOTTEN_AFTER_S = 60.0
"""Seconds without a failure after which the next one begins another outage."""


class OutageLog:
    """Log of the outages of one operation: one line when it fails, one when it works again."""

    def __init__(self, logger: logging.Logger, message: str) -> None:
        """Create the log; `message` says what was not done."""
        self._logger = logger
        self._message = message
        self._lock = threading.Lock()
        self._began_at = self._failed_at = 0.0
        self.num_failures = 0
        """Number of failures since the operation last worked."""

    def failed(self, error: Exception, **fields: object) -> float:
        """Note a failure, and log it if it is the first; return the delay before the next try."""
        now = time.monotonic()
        with self._lock:
            if now > self._failed_at + _FORGOTTEN_AFTER_S:
                self.num_failures = 0
            self.num_failures += 1
            num_failures, self._failed_at = self.num_failures, now
            if num_failures == 1:
                self._began_at = now
        if num_failures == 1:
            cause = error.__cause__ or error
            # Only the first line: a driver's further lines may quote the statement.
            reason = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0][:300]}"
            self._logger.warning(self._message, extra={**fields, "error": reason})
        return retry_delay_s(num_failures)

    def succeeded(self) -> None:
        """Note that the operation works; log the end of an outage."""
        if not self.num_failures:
            return
        with self._lock:
            num_failures, self.num_failures = self.num_failures, 0
            seconds = time.monotonic() - self._began_at
        if num_failures:
            extra = {"num_failures": num_failures, "seconds": round(seconds, 1)}
            self._logger.warning("over: %s", self._message, extra=extra)
