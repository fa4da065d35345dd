"""Temporary responses, in the background and not stored: read from their row and from Redis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import redis

from api.services import Services
from models.encryption.response import ResponseCipher
from models.errors import ContentGoneError, UnavailableError
from models.ids import response_wire_id
from models.recording.finalize import CONTENT_LOST, finalize_orphan
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from models.store.responses import Responses
from models.streams.unstored import UnstoredContents


class TemporaryArchives:
    """Archives of temporary responses; see `ArchiveStore`."""

    def __init__(self, responses: Responses, unstored: UnstoredContents) -> None:
        self._responses = responses
        self._unstored = unstored

    def archived_events(self, project_id: str, response_id: UUID) -> list[bytes] | None:
        """Return the JSON of all events of a finished response, in order; None if unknown."""
        row = self._responses.get_unstored(project_id, response_id)
        if row is None:
            return None
        try:
            archive = self._unstored.archive(row)
        except redis.RedisError as error:
            raise UnavailableError("The response is out of reach; try again.") from error
        return archive.events if archive is not None else None


def find_response(services: Services, project_id: str, response_id: UUID) -> ResponseRecord | None:
    """Return a response that is stored, or temporary; None if unknown.

    Raises what `_find_temporary` does.
    """
    stored = services.store.responses.get(project_id, response_id)
    return stored or _find_temporary(services, project_id, response_id)


def find_row(services: Services, project_id: str, response_id: UUID) -> ResponseRecord | None:
    """Return the same, but a temporary response without its content."""
    stored = services.store.responses.get(project_id, response_id)
    return stored or _find_temporary_row(services, project_id, response_id)


def _find_temporary_row(
    services: Services, project_id: str, response_id: UUID
) -> ResponseRecord | None:
    """Return a temporary response without its content; None if unknown, or after its time."""
    row = services.store.responses.get_unstored(project_id, response_id)
    if row is None or not row.is_temporary:
        return None
    lapse = timedelta(seconds=services.unstored.ended_ttl_s)
    if row.finished_at is not None and row.finished_at + lapse < datetime.now(UTC):
        return None
    return row


def _find_temporary(
    services: Services, project_id: str, response_id: UUID
) -> ResponseRecord | None:
    """Return a temporary response with its content; None if unknown, or after its time.

    One that waits ends as failed if its content is lost. Raise a 404 if the content of one that has
    ended is lost, and a 503 if that of one that runs is: its worker has it and will end it.
    """
    row = _find_temporary_row(services, project_id, response_id)
    if row is None or row.status in TERMINAL:
        return row and _with_archive(services, row)
    content = services.unstored.get(ResponseCipher.of(row))
    if content is not None:
        return replace(row, parameters=content.parameters, metadata=content.metadata)
    if row.status is ResponseStatus.QUEUED:
        finalize_orphan(
            services.store, services.log, services.unstored, services.windows, row, CONTENT_LOST
        )
    row = _find_temporary_row(services, project_id, response_id)
    if row is None or row.status in TERMINAL:
        return row and _with_archive(services, row)
    raise UnavailableError("The content of the response is out of reach until it has ended.")


def load_items(services: Services, record: ResponseRecord) -> list[dict[str, Any]]:
    """Return the input items of a temporary response; raise a 404 if they are lost."""
    content = services.unstored.get(ResponseCipher.of(record))
    if content is None:
        raise ContentGoneError(response_wire_id(record.id))
    return content.items


def _with_archive(services: Services, row: ResponseRecord) -> ResponseRecord:
    archive = services.unstored.archive(row)
    if archive is None:
        raise ContentGoneError(response_wire_id(row.id))
    output = orjson.loads(archive.events[-1])["response"]["output"]
    return replace(row, parameters=archive.parameters, metadata=archive.metadata, output=output)
