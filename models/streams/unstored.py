"""Content of requests with `store: false`, kept in Redis only, encrypted and with an expiry."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson
import redis

from models.encryption.response import ResponseCipher
from models.responses.record import ResponseRecord

UNSTORED_TTL_S = 600
"""Seconds until the content of a foreground response expires; `keep` starts them anew."""
QUEUED_TTL_S = 24 * 3600
"""The same of a temporary response that has not ended."""

_PURPOSE = "content"
_ARCHIVE_PURPOSE = "archive "


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredContent:
    """Parameters, metadata and items, which a stored response keeps in Postgres."""

    parameters: dict[str, Any]
    metadata: dict[str, str]
    items: list[dict[str, Any]]
    tool_secrets: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Headers and access tokens for MCP servers, by label."""
    has_context: bool = False
    """True if the items begin with those of the context, which is stored nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredArchive:
    """Parameters, metadata and all events of a temporary response that has ended."""

    parameters: dict[str, Any]
    metadata: dict[str, str]
    events: list[bytes]


class UnstoredContents:
    """Store in Redis for the content of unstored responses.

    The archive of a temporary response is written before its end is committed, under the attempt
    that ends it: the commit decides which of them is valid, and none is missing after it.
    """

    def __init__(self, client: redis.Redis, *, ended_ttl_s: int = UNSTORED_TTL_S) -> None:
        """Keep temporary responses for `ended_ttl_s` seconds after their end."""
        self._client = client
        self.ended_ttl_s = ended_ttl_s

    def put(
        self, cipher: ResponseCipher, content: UnstoredContent, *, ttl_s: int = UNSTORED_TTL_S
    ) -> None:
        """Keep a response's content until `forget`, for at most `ttl_s` seconds."""
        data = orjson.dumps(
            {
                "parameters": content.parameters,
                "metadata": content.metadata,
                "items": content.items,
                "tool_secrets": content.tool_secrets,
                "has_context": content.has_context,
            }
        )
        encrypted = cipher.encrypt(_PURPOSE, data)
        self._client.set(_key(cipher.owner_id), encrypted, ex=ttl_s)

    def get(self, cipher: ResponseCipher) -> UnstoredContent | None:
        """Return a response's content; None if it has expired, or it or its key was lost."""
        encrypted: Any = self._client.get(_key(cipher.owner_id))
        data = cipher.decrypt(_PURPOSE, encrypted) if encrypted is not None else None
        return UnstoredContent(**orjson.loads(data)) if data is not None else None

    def fill(self, record: ResponseRecord) -> ResponseRecord:
        """Return an unstored response with its parameters and metadata, if they are not lost.

        If Redis fails, that error is raised for a temporary response, which cannot end without it.
        """
        if record.store:
            return record
        try:
            content = self.get(ResponseCipher.of(record))
        except redis.RedisError:
            if record.is_temporary:
                raise
            content = None
        if content is None:
            return record
        return replace(record, parameters=content.parameters, metadata=content.metadata)

    def is_wanted(self, response_id: UUID) -> bool:
        """Return True if a client still waits: the content is removed when its client is gone."""
        return bool(self._client.exists(_key(response_id)))

    def keep(self, response_ids: Sequence[UUID], ttl_s: int) -> list[UUID]:
        """Put off the expiry of responses that wait; return those whose content is gone."""
        pipeline = self._client.pipeline(transaction=False)
        for response_id in response_ids:
            pipeline.expire(_key(response_id), ttl_s)
        found = pipeline.execute()
        return [
            response_id
            for response_id, is_there in zip(response_ids, found, strict=True)
            if not is_there
        ]

    def put_archive(self, record: ResponseRecord, events: Sequence[bytes]) -> None:
        """Keep all events of a temporary response that its attempt is about to end.

        Its content expires together with them.
        """
        head = orjson.dumps({"parameters": record.parameters, "metadata": record.metadata})
        data = zlib.compress(b"\n".join([head, *events]), level=1)
        encrypted = ResponseCipher.of(record).encrypt(_archive_purpose(record), data)
        pipeline = self._client.pipeline()
        pipeline.hset(_archive_key(record.id), str(record.attempt), encrypted)
        pipeline.expire(_archive_key(record.id), self.ended_ttl_s)
        pipeline.expire(_key(record.id), self.ended_ttl_s)
        pipeline.execute()

    def archive(self, record: ResponseRecord) -> UnstoredArchive | None:
        """Return what the attempt that has ended a response has kept; None if it is lost."""
        encrypted: Any = self._client.hget(_archive_key(record.id), str(record.attempt))
        if encrypted is None:
            return None
        data = ResponseCipher.of(record).decrypt(_archive_purpose(record), encrypted)
        if data is None:
            return None
        head, *events = zlib.decompress(data).split(b"\n")
        return UnstoredArchive(**orjson.loads(head), events=events)

    def forget(self, *response_ids: UUID) -> None:
        """Remove all that is kept of responses."""
        keys = [key for id_ in response_ids for key in (_key(id_), _archive_key(id_))]
        self._client.delete(*keys)


def _key(response_id: UUID) -> str:
    return f"antiphon:unstored:{response_id.hex}"


def _archive_key(response_id: UUID) -> str:
    return f"antiphon:unstored-archive:{response_id.hex}"


def _archive_purpose(record: ResponseRecord) -> str:
    return f"{_ARCHIVE_PURPOSE}{record.attempt}"
