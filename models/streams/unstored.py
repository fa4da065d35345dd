"""Content of requests with `store: false`, kept in Redis only and with an expiry."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import redis

UNSTORED_TTL_S = 600
"""Seconds until the content expires: the longest wait for a worker and for its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredContent:
    """Parameters, metadata and items, which a stored response keeps in Postgres."""

    parameters: dict[str, Any]
    metadata: dict[str, str]
    items: list[dict[str, Any]]


class UnstoredContents:
    """Store in Redis for the content of unstored responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, response_id: UUID, content: UnstoredContent) -> None:
        """Keep the content until `forget`, for at most `UNSTORED_TTL_S` seconds."""
        data = orjson.dumps(
            {
                "parameters": content.parameters,
                "metadata": content.metadata,
                "items": content.items,
            }
        )
        self._client.set(_key(response_id), data, ex=UNSTORED_TTL_S)

    def get(self, response_id: UUID) -> UnstoredContent | None:
        """Return the content; None if it has expired or Redis lost it."""
        data = self._client.get(_key(response_id))
        return UnstoredContent(**orjson.loads(data)) if data is not None else None

    def is_wanted(self, response_id: UUID) -> bool:
        """Return True if a client still waits: the content is removed when its client is gone."""
        return bool(self._client.exists(_key(response_id)))

    def forget(self, response_id: UUID) -> None:
        """Remove the content."""
        self._client.delete(_key(response_id))


def _key(response_id: UUID) -> str:
    return f"antiphon:unstored:{response_id.hex}"
