"""Requests with `store: false`: their content is here, under a time limit, and nowhere else."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import redis

UNSTORED_TTL_S = 600
"""How long the content waits for a worker and its answer for its client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredContent:
    """What a stored response keeps in its row and items."""

    parameters: dict[str, Any]
    metadata: dict[str, str]
    items: list[dict[str, Any]]


class UnstoredContents:
    """The contents of responses that are not stored."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, response_id: UUID, content: UnstoredContent) -> None:
        """Keep the content until it is forgotten or its time is up."""
        data = orjson.dumps(
            {
                "parameters": content.parameters,
                "metadata": content.metadata,
                "items": content.items,
            }
        )
        self._client.set(_key(response_id), data, ex=UNSTORED_TTL_S)

    def get(self, response_id: UUID) -> UnstoredContent | None:
        """The content; None if its time is up or Redis lost it."""
        data = self._client.get(_key(response_id))
        return UnstoredContent(**orjson.loads(data)) if data is not None else None

    def is_wanted(self, response_id: UUID) -> bool:
        """Whether somebody still waits for the answer."""
        return bool(self._client.exists(_key(response_id)))

    def forget(self, response_id: UUID) -> None:
        """Remove the content."""
        self._client.delete(_key(response_id))


def _key(response_id: UUID) -> str:
    return f"antiphon:unstored:{response_id.hex}"
