"""Background threads that call a function at an interval."""

import logging
import threading
from collections.abc import Callable

from models.outages import OUTAGES, OutageLog
from models.vital_thread import VitalThread


class BackgroundThread:
    """Daemon thread that calls `run` at an interval until it is stopped.

    After an error of Postgres or Redis, the next call follows after a delay that grows from failure
    to failure. Any other exception ends the process.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        *,
        interval_s: float,
        is_immediate: bool = False,
        message: str = "",
    ) -> None:
        """Create the thread.

        `message` says what an outage prevents: it is logged at the beginning and at the end of each
        one. The first call comes after one interval, or at the start if `is_immediate`.
        """
        self._run = run
        self._interval_s = interval_s
        self._is_immediate = is_immediate
        # Log lines are those of whoever runs in the thread.
        logger = logging.getLogger(run.__module__)
        self._outage_log = OutageLog(logger, message or f"{name} failed")
        self._is_started = False
        self.stopping = threading.Event()
        """Set once the thread is to stop: `run` may wait on it instead of sleeping."""
        self._thread = VitalThread(name, self._loop)

    @property
    def is_started(self) -> bool:
        """True once `start` was called."""
        return self._is_started

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._is_started = True

    def stop(self) -> None:
        """Stop the thread and wait for the call in progress; no effect if it was not started."""
        self.stopping.set()
        if self.is_started:
            self._thread.join()

    def note_success(self) -> None:
        """Note that a call which has not returned yet works again after an outage."""
        self._outage_log.succeeded()

    def _loop(self) -> None:
        delay_s = 0.0 if self._is_immediate else self._interval_s
        while not self.stopping.wait(delay_s):
            delay_s = self._call()

    def _call(self) -> float:
        """Call `run` once; return the seconds until the next call."""
        try:
            self._run()
        except OUTAGES as error:
            return self._outage_log.failed(error)
        self._outage_log.succeeded()
        return self._interval_s
