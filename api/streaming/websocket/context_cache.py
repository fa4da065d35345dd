"""In-memory cache of the contexts of unstored responses, for WebSocket connections.

The cache belongs to one process. A context lives at most as long as its connection, and all of them
take at most `MAX_CACHED_BYTES` together: the least recently used are evicted first.
"""

import threading
from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
from cachetools import LRUCache

MAX_CACHED_BYTES = 256 * 2**20
"""Capacity of the cache, in bytes of JSON."""


class ContextCache:
    """LRU cache of the items of a response and of all turns before it, by response id."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._contexts: LRUCache[UUID, bytes] = LRUCache(max_bytes, getsizeof=len)
        self._lock = threading.Lock()

    def keep(self, response_id: UUID, items: list[dict[str, Any]]) -> None:
        """Add a context, unless it alone exceeds the capacity."""
        data = orjson.dumps(items)
        with self._lock, suppress(ValueError):
            self._contexts[response_id] = data

    def get(self, response_id: UUID) -> list[dict[str, Any]] | None:
        """Return a context, or None if it was never added or has been evicted."""
        with self._lock:
            data = self._contexts.get(response_id)
        items: list[dict[str, Any]] | None = None if data is None else orjson.loads(data)
        return items

    def forget(self, response_id: UUID) -> None:
        """Remove a context if it is present."""
        with self._lock:
            self._contexts.pop(response_id, None)
