"""Watchdog thread of the worker, which never blocks on the engine, the database or Redis.

It touches the file by which the supervisor sees that the process is alive, as long as the process
tries to renew its lease and its engine can step. It stops running responses before a lease that
cannot be renewed expires, and ends the process when the engine hangs or has lost its device.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.background_thread import BackgroundThread
from worker.engine.interface import Engine
from worker.process.heartbeat import Heartbeat
from worker.process.timings import WorkerTimings

logger = logging.getLogger(__name__)


class Watchdog:
    """Thread that checks engine and lease periodically; its callbacks must not block for long."""

    def __init__(
        self,
        engine: Engine,
        heartbeat: Heartbeat,
        *,
        timings: WorkerTimings,
        pulse: Path | None,
        on_lease_ending: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """Create the watchdog; `start` starts its thread.

        `pulse` is the file whose modification time shows the supervisor that the process is alive.
        `on_lease_ending` is called once when the lease is about to expire, `on_end` when the
        process cannot recover: the engine hangs or its device is lost.
        """
        self._engine = engine
        self._heartbeat = heartbeat
        self._pulse = pulse
        self._on_lease_ending = on_lease_ending
        self._on_end = on_end
        self._was_lease_good = True
        self._beat_limit_s = timings.beat_limit_s
        self._thread = BackgroundThread("watchdog", self.check, interval_s=timings.watchdog_s)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._thread.stop()

    def check(self) -> None:
        """Check the lease and the engine once; touch the liveness file if this worker can work.

        While the database is away, a worker is alive if it tries: a restart would not help.
        """
        is_beating = self._heartbeat.last_attempt_age_s < self._beat_limit_s
        if self._pulse is not None and is_beating and not self._engine.is_stuck:
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
