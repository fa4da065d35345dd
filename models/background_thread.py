"""Background threads that call a function at an interval."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


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
        self.stopping = threading.Event()
        """Set once the thread is to stop: `run` may wait on it instead of sleeping."""
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    @property
    def is_started(self) -> bool:
        """True once `start` was called."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for the call in progress; no effect if it was not started."""
        self.stopping.set()
        if self.is_started:
            self._thread.join()

    def _loop(self) -> None:
        if self._is_immediate:
            self._call()
        while not self.stopping.wait(self._interval_s):
            self._call()

    def _call(self) -> None:
        try:
            self._run()
        except self._errors as error:
            logger.warning(self._message, extra={"error": str(error)})
