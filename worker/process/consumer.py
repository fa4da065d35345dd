"""Consumer of wake-ups that outlives its broker: it starts again after any error."""

import logging
import threading
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.connection import Connection

from models.outages import LONGEST_DELAY_S, OutageLog

logger = logging.getLogger(__name__)

_STEADY_S = 3.0
"""Seconds without an error after which an outage counts as over."""


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, for which no error of the broker is unrecoverable.

    By default Celery ends the worker after an error that is not one of the connection, such as
    `READONLY` or `NOREPLICAS`. The worker would load its weights again, for a broker that it can do
    without: it polls for queued responses.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._outages = OutageLog(logger, "wake-ups not received")
        self._steady: Any = None
        super().__init__(*arguments, **options)
        self.connection_errors = (Exception,)

    def on_ready(self) -> None:
        """Count the outage as over if no error follows soon."""
        super().on_ready()
        self._steady = self.timer.call_after(_STEADY_S, self._outages.succeeded)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait before the next connection."""
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close the connection and wait before the next one."""
        super().on_connection_error_after_connected(exc)
        self._pause(exc)

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, with tries that do not become rarer than the others of this process."""

        def note_failure(error: Exception, _interval_s: float) -> None:
            self._outages.failed(error)

        connected: Connection = conn.ensure_connection(  # type: ignore[no-untyped-call]
            note_failure,
            interval_start=0.25,
            interval_step=0.5,
            interval_max=LONGEST_DELAY_S,
            callback=state.maybe_shutdown,
        )
        return connected

    def _pause(self, error: Exception) -> None:
        if self._steady is not None:
            self._steady.cancel()
        threading.Event().wait(self._outages.failed(error))
