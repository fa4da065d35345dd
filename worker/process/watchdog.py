"""Watches the worker from a thread that waits for nothing: neither the engine nor a server.

It tells the supervisor that the process lives, stops what is running in time when the lease cannot
be renewed, and ends the process when the engine hangs or has lost its device.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from worker.engine.interface import Engine
from worker.process.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

INTERVAL_S = 0.25


class Watchdog:
    """One thread; what it calls must not wait long."""

    def __init__(
        self,
        engine: Engine,
        heartbeat: Heartbeat,
        *,
        pulse: Path | None,
        on_lease_ending: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """`pulse` is the file whose time of change tells the supervisor of life; `on_end` is called
        when nothing more can come of this process."""
        self._engine = engine
        self._heartbeat = heartbeat
        self._pulse = pulse
        self._on_lease_ending = on_lease_ending
        self._on_end = on_end
        self._was_lease_good = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """One look at everything."""
        if self._pulse is not None:
            with suppress(OSError):
                self._pulse.touch()
        is_good = self._heartbeat.is_lease_good
        if self._was_lease_good and not is_good:
            logger.warning("lease about to end; nothing more is written")
            self._on_lease_ending()
        self._was_lease_good = is_good
        if self._engine.is_stuck:
            logger.critical("engine stuck", extra={"step_age_s": self._engine.last_step_age_s})
            self._on_end()
        elif self._engine.is_lost:
            logger.critical("device lost", extra={"num_running": self._engine.num_running})
            self._on_end()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self.look()
