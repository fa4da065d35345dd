"""Streams and WebSockets that are open, by the key they were opened with, for its revocation."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from api.event_loop.loop import EventLoop
from api.event_loop.loop_body import LoopBody, Outlet
from models.background_thread import BackgroundThread

CHECK_S = 2.0
"""Seconds between two checks: with the look-up itself, a revocation holds within five."""

KeyId = str | None
"""Id of a key; None for what was opened while no key was needed."""


class OpenConnections:
    """Registry of answers that are being sent; a thread ends those whose key is not valid."""

    def __init__(
        self,
        loop: EventLoop,
        find_valid: Callable[[Collection[KeyId]], Collection[KeyId]],
        *,
        interval_s: float = CHECK_S,
    ) -> None:
        """Create the registry; `find_valid` returns those of some key ids that are valid."""
        self._loop = loop
        self._find_valid = find_valid
        self._lock = threading.Lock()
        self._outlets: defaultdict[KeyId, set[Outlet]] = defaultdict(set)
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
    def hold(self, key_id: KeyId, outlet: Outlet) -> Iterator[None]:
        """Register an answer while it is sent."""
        with self._lock:
            self._outlets[key_id].add(outlet)
        try:
            yield
        finally:
            with self._lock:
                self._outlets[key_id].discard(outlet)
                if not self._outlets[key_id]:
                    del self._outlets[key_id]

    def check(self) -> None:
        """End every answer whose key is no longer valid."""
        with self._lock:
            key_ids = list(self._outlets)
        if not key_ids:
            return
        for key_id in {*key_ids} - {*self._find_valid(key_ids)}:
            with self._lock:
                outlets = list(self._outlets.get(key_id, ()))
            for outlet in outlets:
                self._loop.call_soon(outlet.abort)


class RevocableBody(LoopBody):
    """Body of an answer that ends when its key is revoked."""

    def __init__(self, body: LoopBody, key_id: KeyId, connections: OpenConnections) -> None:
        self._body = body
        self._key_id = key_id
        self._connections = connections

    async def send(self, outlet: Outlet) -> None:
        """Send the body."""
        with self._connections.hold(self._key_id, outlet):
            await self._body.send(outlet)

    def abandon(self) -> None:
        """Clean up instead of `send`."""
        self._body.abandon()
