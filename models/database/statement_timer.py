"""Client-side statement timeout that also works when the server hangs with an open connection.

libpq waits for a result without a limit; a frozen proxy or host never sends one, and TCP detects no
error. The socket of such a statement is shut down, and the driver reports a lost connection.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from models.vital_thread import VitalThread

_CHECK_INTERVAL_S = 0.25


class StatementTimer:
    """Timeouts of all connections of a pool: one thread, started with the first statement."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: dict[int, float] = {}
        """Deadline of each running statement, by the file descriptor of its connection."""
        self._is_started = False
        self._stopping = threading.Event()
        self._thread = VitalThread("statement-timer", self._run)

    @contextmanager
    def limit(self, descriptor: int) -> Iterator[None]:
        """Shut down the connection if the statements inside the context take too long."""
        with self._lock:
            self._running[descriptor] = time.monotonic() + self._limit_s
            if not self._is_started:
                self._is_started = True
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(descriptor, None)

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._is_started:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_CHECK_INTERVAL_S):
            self._shut_down_expired()

    def _shut_down_expired(self) -> None:
        now = time.monotonic()
        # Under the lock: a connection is not returned to the pool while it is shut down.
        with self._lock:
            expired = [fd for fd, deadline in self._running.items() if deadline < now]
            for descriptor in expired:
                del self._running[descriptor]
                _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
