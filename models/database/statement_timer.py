"""Bounds how long a statement may take, also when the server is silent and the line stays open.

libpq waits for an answer without a limit; a proxy or a host that has frozen never gives one, and
TCP finds nothing wrong. The socket of such a statement is shut down, and the driver says that the
connection is lost.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOOK_EVERY_S = 0.25


class StatementTimer:
    """One thread for all connections of a pool, started with the first statement."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: dict[int, float] = {}
        """File descriptor of each connection at work → its deadline."""
        self._stopping = threading.Event()
        self._is_started = False

    @contextmanager
    def limiting(self, descriptor: int) -> Iterator[None]:
        """Whatever is asked on this connection inside is answered in time, or fails."""
        with self._lock:
            self._running[descriptor] = time.monotonic() + self._limit_s
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._run, name="statement-timer", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(descriptor, None)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S):
            now = time.monotonic()
            # Under the lock: a connection is not given back before its descriptor is taken out.
            with self._lock:
                late = [each for each, deadline in self._running.items() if deadline < now]
                for descriptor in late:
                    del self._running[descriptor]
                    _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)
