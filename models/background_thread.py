"""Background threads that call a function at an interval."""

import logging
import threading
from collections.abc import Callable


class BackgroundThread:
    """Daemon thread that calls `run` at an interval until it is stopped.

    Expected errors are logged, and the thread goes on with the next call; any other exception ends
    it.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        *,
        interval_s: float,
        is_immediate: bool = False,
        errors: tuple[type[Exception], ...] = (),
        message: str = "",
    ) -> None:
        """Create the thread.

        `message` is logged as a warning for every one of `errors`. The first call comes after one
        interval, or at the start if `is_immediate`.
        """
        self._run = run
        self._interval_s = interval_s
        self._is_immediate = is_immediate
        self._errors = errors
        self._message = message
        # Log lines are those of whoever runs in the thread.
        self._logger = logging.getLogger(run.__module__)
        self._is_started = False
        self.stopping = threading.Event()
        """Set once the thread is to stop: `run` may wait on it instead of sleeping."""
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

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

    def _loop(self) -> None:
        if self._is_immediate and not self.stopping.is_set():
            self._call()
        while not self.stopping.wait(self._interval_s):
            self._call()

    def _call(self) -> None:
        try:
            self._run()
        except self._errors as error:
            self._logger.warning(self._message, extra={"error": str(error)})
