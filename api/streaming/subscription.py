"""Messages of one response for one stream, delivered in the event loop."""

import asyncio
import time
from collections import deque
from uuid import UUID

WAKE_UP = b""
"""Empty message, on which a stream reads the store."""
MAX_WAITING_BYTES = 1 << 16
"""Bytes that may wait for a stream whose client is behind; beyond, it reads the log later."""


class Subscription:
    """Queue of one response's messages for one stream."""

    __slots__ = ("_messages", "_num_bytes", "_waiter", "checked_at", "key")

    def __init__(self, project_id: str, response_id: UUID) -> None:
        self.key = (project_id, response_id)
        self._messages: deque[bytes] = deque()
        self._num_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self.checked_at = time.monotonic()
        """Monotonic time of the last message, or of the last look at the status."""

    def put(self, message: bytes) -> None:
        """Deliver a message; too many are replaced by a wake-up."""
        self.checked_at = time.monotonic()
        self._num_bytes += len(message)
        if self._num_bytes > MAX_WAITING_BYTES:
            self._messages.clear()
            message, self._num_bytes = WAKE_UP, 0
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> bytes:
        """Return the next message, once there is one."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        self._num_bytes -= len(message)
        return message
