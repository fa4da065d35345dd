"""Contexts that one connection can continue: of the latest unstored response of each stream."""

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.streaming.websocket.context_cache import ContextCache
from models.errors import InvalidRequestError, PreviousResponseNotFoundError
from models.ids import response_wire_id
from models.schemas.request.create_response import CreateResponse


@dataclass(frozen=True, slots=True)
class UnstoredContext:
    """Items of an unstored response and of all turns before it."""

    previous_id: UUID
    items: list[dict[str, Any]]


class ConnectionContexts:
    """Latest unstored response of each stream, if it can be continued; thread-safe.

    Any stream may continue the response of any other, so that a conversation can fork.
    """

    __slots__ = ("_cache", "_is_closed", "_latest", "_lock")

    def __init__(self, cache: ContextCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._latest: dict[str | None, UUID] = {}
        self._is_closed = False

    def find(self, request: CreateResponse) -> UnstoredContext | None:
        """Return the context of the request if only this connection has it, else None.

        Raise an `AppError` if it was evicted, or if the request is to be stored.
        """
        wire_id = request.previous_response_id
        with self._lock:
            latest = list(self._latest.values())
        previous_id = next((one for one in latest if response_wire_id(one) == wire_id), None)
        if previous_id is None:
            return None
        items = self._cache.get(previous_id)
        if items is None:
            message = f"Previous response with id '{wire_id}' not found."
            raise PreviousResponseNotFoundError(message, param="previous_response_id")
        if request.store:
            message = "The previous response was not stored: store must be false to go on."
            raise InvalidRequestError(message, param="store")
        return UnstoredContext(previous_id, items)

    def keep(self, stream_id: str | None, response_id: UUID, items: list[dict[str, Any]]) -> None:
        """Keep the context after a response instead of that of the one before on its stream."""
        with self._lock:
            if self._is_closed:
                return
            self._forget(stream_id)
            self._latest[stream_id] = response_id
            self._cache.keep(response_id, items)

    def evict(self, stream_id: str | None, wire_id: object) -> None:
        """Evict the context that `wire_id` names: a request that continued it has failed.

        That of another stream is left: the request was a fork.
        """
        with self._lock:
            latest = self._latest.get(stream_id)
            if latest is not None and response_wire_id(latest) == wire_id:
                self._forget(stream_id)

    def close(self) -> None:
        """Evict all of them, and keep no more."""
        with self._lock:
            self._is_closed = True
            for stream_id in list(self._latest):
                self._forget(stream_id)

    def _forget(self, stream_id: str | None) -> None:
        latest = self._latest.pop(stream_id, None)
        if latest is not None:
            self._cache.forget(latest)
