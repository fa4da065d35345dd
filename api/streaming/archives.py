"""Events of finished responses, read from the store and cached for readers that come together.

An archive is one value in Postgres: a reader that follows it in parts, or beside others, would
otherwise have it fetched and decompressed each time.
"""

import threading
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from cachetools import TTLCache

from models.streams.event_log import LoggedEvent

MAX_BYTES = 8 << 20
TTL_S = 10.0
"""Seconds that an archive is cached: one that was deleted is not served for longer."""
_OVERHEAD_BYTES = 150
"""Memory of one event beside its data."""

Archive = list[LoggedEvent]


class ArchiveStore(Protocol):
    """Store that archives are read from."""

    def archived_events(self, project_id: str, response_id: UUID) -> list[bytes] | None:
        """Return the JSON of all events of a finished response, in order; None if unknown."""


class Archives:
    """Archives by project and response; thread-safe."""

    def __init__(
        self, store: ArchiveStore, *, max_bytes: int = MAX_BYTES, ttl_s: float = TTL_S
    ) -> None:
        self._store = store
        self._cache: TTLCache[tuple[str, UUID], Archive] = TTLCache(
            max_bytes, ttl_s, getsizeof=_num_bytes
        )
        self._lock = threading.Lock()

    def read(self, project_id: str, response_id: UUID) -> Archive | None:
        """Return all events of a finished response, which are not to be changed; None if unknown.

        Raises an `UnavailableError` if the store cannot be read.
        """
        key = (project_id, response_id)
        with self._lock:
            cached: Archive | None = self._cache.get(key)
        if cached is not None:
            return cached
        events = self._store.archived_events(project_id, response_id)
        if events is None:
            return None
        archive = [LoggedEvent(number, data) for number, data in enumerate(events)]
        with self._lock, suppress(ValueError):  # of one that is larger than the cache
            self._cache[key] = archive
        return archive


def _num_bytes(archive: Archive) -> int:
    return sum(len(event.data) + _OVERHEAD_BYTES for event in archive)
