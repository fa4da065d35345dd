"""End of a process that was asked to stop, whatever it still waits for."""

import logging
import os
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

EXIT_LATE = 75
"""Exit code of a process that did not end in time: `EX_TEMPFAIL` of sysexits.h."""


def end_within(seconds: float, exit_process: Callable[[int], object] = os._exit) -> threading.Timer:
    """End the process after `seconds`, unless it has ended by then.

    A database that has gone with the supervisor, or that hangs, keeps threads waiting, and a
    process waits for its threads. What it leaves behind is resumed once its lease has run out.
    """

    def end() -> None:
        try:
            logger.critical("not ended in time", extra={"seconds": seconds})
            logging.shutdown()
        finally:
            exit_process(EXIT_LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
