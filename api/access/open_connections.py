"""Streams and WebSockets that are open, by what they were opened with, for its revocation."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from api.event_loop.loop import EventLoop
from api.event_loop.loop_body import LoopBody, Outlet
from models.background_thread import BackgroundThread

CHECK_S = 2.0
"""Seconds between two checks: with the look-up itself, a revocation holds within five."""


class Opener(NamedTuple):
    """Key, and session of the dashboard if one stood for it, that an answer was opened with."""

    key_id: str | None
    """None for what was opened while no key was needed."""
    session_id: str | None = None


class OpenConnections:
    """Registry of answers that are being sent; a thread ends those whose opener is not valid."""

    def __init__(
        self,
        loop: EventLoop,
        find_valid: Callable[[Collection[Opener]], Collection[Opener]],
        *,
        interval_s: float = CHECK_S,
    ) -> None:
        """Create the registry; `find_valid` returns those of some openers that are valid."""
        self._loop = loop
        self._find_valid = find_valid
        self._lock = threading.Lock()
        self._outlets: defaultdict[Opener, set[Outlet]] = defaultdict(set)
        self._thread = BackgroundThread(
            "revocation", self.check, interval_s=interval_s, message="keys not looked at"
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._thread.stop()

    @contextmanager
    def hold(self, opener: Opener, outlet: Outlet) -> Iterator[None]:
        """Register an answer while it is sent."""
        with self._lock:
            self._outlets[opener].add(outlet)
        try:
            yield
        finally:
            with self._lock:
                self._outlets[opener].discard(outlet)
                if not self._outlets[opener]:
                    del self._outlets[opener]

    def check(self) -> None:
        """End every answer whose opener is no longer valid."""
        with self._lock:
            openers = list(self._outlets)
        if not openers:
            return
        for opener in {*openers} - {*self._find_valid(openers)}:
            with self._lock:
                outlets = list(self._outlets.get(opener, ()))
            for outlet in outlets:
                self._loop.call_soon(outlet.abort)


class RevocableBody(LoopBody):
    """Body of an answer that ends when its key is revoked, or its session ended."""

    def __init__(self, body: LoopBody, opener: Opener, connections: OpenConnections) -> None:
        self._body = body
        self._opener = opener
        self._connections = connections

    async def send(self, outlet: Outlet) -> None:
        """Send the body."""
        with self._connections.hold(self._opener, outlet):
            await self._body.send(outlet)

    def abandon(self) -> None:
        """Clean up instead of `send`."""
        self._body.abandon()
