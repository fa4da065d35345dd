"""Keep-alive messages on a connection on which nothing else is sent."""

import asyncio
from collections.abc import Callable


class KeepAlive:
    """Timer that calls a function whenever nothing was sent for some time."""

    __slots__ = ("_handle", "_interval_s", "_loop", "_send", "_sent_at")

    def __init__(self, interval_s: float, send: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._send = send
        self._sent_at = self._loop.time()
        self._handle = self._loop.call_later(interval_s, self._fire)

    def note_sent(self) -> None:
        """Begin the interval anew; the timer itself is left as it is, which costs nothing."""
        self._sent_at = self._loop.time()

    def cancel(self) -> None:
        """Stop the timer."""
        self._handle.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        if now - self._sent_at >= self._interval_s:
            self._sent_at = now
            self._send()
        self._handle = self._loop.call_at(self._sent_at + self._interval_s, self._fire)
