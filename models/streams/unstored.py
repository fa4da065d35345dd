"""Content of requests with `store: false`, kept in Redis only, encrypted and with an expiry."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import redis

from models.encryption.unstored import UnstoredCipher

UNSTORED_TTL_S = 600
"""Seconds until the content expires: the longest wait for a worker and for its output."""


_PURPOSE = "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredContent:
    """Parameters, metadata and items, which a stored response keeps in Postgres."""

    parameters: dict[str, Any]
    metadata: dict[str, str]
    items: list[dict[str, Any]]
    has_context: bool = False
    """True if the items begin with those of the context, which is stored nowhere."""


class UnstoredContents:
    """Store in Redis for the content of unstored responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, cipher: UnstoredCipher, content: UnstoredContent) -> None:
        """Keep a response's content until `forget`, for at most `UNSTORED_TTL_S` seconds."""
        data = orjson.dumps(
            {
                "parameters": content.parameters,
                "metadata": content.metadata,
                "items": content.items,
                "has_context": content.has_context,
            }
        )
        encrypted = cipher.encrypt(_PURPOSE, data)
        self._client.set(_key(cipher.response_id), encrypted, ex=UNSTORED_TTL_S)

    def get(self, cipher: UnstoredCipher) -> UnstoredContent | None:
        """Return a response's content; None if it has expired, or it or its key was lost."""
        encrypted: Any = self._client.get(_key(cipher.response_id))
        data = cipher.decrypt(_PURPOSE, encrypted) if encrypted is not None else None
        return UnstoredContent(**orjson.loads(data)) if data is not None else None

    def is_wanted(self, response_id: UUID) -> bool:
        """Return True if a client still waits: the content is removed when its client is gone."""
        return bool(self._client.exists(_key(response_id)))

    def forget(self, response_id: UUID) -> None:
        """Remove the content."""
        self._client.delete(_key(response_id))


def _key(response_id: UUID) -> str:
    return f"antiphon:unstored:{response_id.hex}"
