"""What WebSocket connections remember of responses that are not stored.

Contexts of this process alone, in memory, each for as long as its connection lives and at most
`MAX_KEPT_BYTES` together: the least recently used go first.
"""

import threading
from collections import OrderedDict
from typing import Any
from uuid import UUID

import orjson

MAX_KEPT_BYTES = 256 * 2**20


class ContextCache:
    """Input and output of a response and of all turns before it, by the response's id."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._contexts: OrderedDict[UUID, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, response_id: UUID, items: list[dict[str, Any]]) -> None:
        """Remember a context; one that is larger than all the room is not."""
        data = orjson.dumps(items)
        if len(data) > self._max_bytes:
            return
        with self._lock:
            self._contexts[response_id] = data
            self._num_bytes += len(data)
            while self._num_bytes > self._max_bytes:
                _, oldest = self._contexts.popitem(last=False)
                self._num_bytes -= len(oldest)

    def get(self, response_id: UUID) -> list[dict[str, Any]] | None:
        """The context; None if it was never kept or had to go."""
        with self._lock:
            data = self._contexts.get(response_id)
            if data is None:
                return None
            self._contexts.move_to_end(response_id)
        items: list[dict[str, Any]] = orjson.loads(data)
        return items

    def forget(self, response_id: UUID) -> None:
        """Remove a context, if it is there."""
        with self._lock:
            self._num_bytes -= len(self._contexts.pop(response_id, b""))
