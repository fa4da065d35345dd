"""Threads without which a process is of no use: when one fails, the process ends."""

import logging
import os
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

EXIT_THREAD_LOST = 70
"""Exit code after a thread has ended unexpectedly: `EX_SOFTWARE` of sysexits.h."""


def end_process(thread_name: str) -> None:
    """Log the exception being handled and end the process at once, with a non-zero exit code.

    A process that lost a thread may look alive and do nothing; its supervisor starts another.
    """
    try:
        logger.critical("thread %s lost", thread_name, exc_info=True)
        logging.shutdown()
    finally:
        os._exit(EXIT_THREAD_LOST)


class VitalThread(threading.Thread):
    """Thread whose exception ends the process."""

    def __init__(self, name: str, target: Callable[[], object], *, is_daemon: bool = True) -> None:
        super().__init__(name=name, daemon=is_daemon)
        self._run_vital = target

    def run(self) -> None:
        """Run the target; end the process if it raises anything."""
        try:
            self._run_vital()
        except BaseException:
            end_process(self.name)
            raise
