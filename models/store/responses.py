"""Responses, as the API uses them: create, read, delete."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, TextClause, text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.content.codec import PARAMETERS, ContentCodec
from models.store.content.row_cipher import RowCipher, as_hex, as_json
from models.store.creation.shared_statements import SharedStatements
from models.store.creation.statements import creation, parameters_of
from models.store.fairness.recent_flows import RecentFlows
from models.store.idempotency_keys import RequestKey, take_key
from models.store.rows import (
    COLUMNS,
    OUTPUT_OF_ID,
    select_records,
    stored_content_key,
    stored_tool_secrets,
    to_record,
)

_GET = select_records(
    f"""
    SELECT {COLUMNS}, {OUTPUT_OF_ID} FROM responses r
    WHERE r.project_id = :project_id AND r.id = :id AND r.store
""",
    "output",
)

_GET_UNSTORED = text(f"""
    SELECT {COLUMNS} FROM responses r
    WHERE r.project_id = :project_id AND r.id = :id AND NOT r.store
""")

_FORGET_KEY = text("""
    UPDATE responses SET content_key = NULL
    WHERE project_id = :project_id AND id = :id AND content_key IS NOT NULL
""")

_DELETE = text("""
    WITH deleted AS (
        DELETE FROM responses r
        WHERE r.project_id = :project_id AND r.id = :id AND (r.store OR r.background)
        RETURNING r.id, r.project_id, r.status, r.conversation_id
    ), unkeyed AS (
        DELETE FROM idempotency_keys k USING deleted d
        WHERE k.project_id = d.project_id AND k.response_id = d.id
    ), freed AS (
        UPDATE conversations c SET running_id = NULL FROM deleted d
        WHERE c.project_id = d.project_id AND c.id = d.conversation_id AND c.running_id = d.id
    )
    SELECT status FROM deleted
""")

_ARCHIVE = text("""
    SELECT data FROM event_archives WHERE project_id = :project_id AND response_id = :id
""")

_STATUSES = text("""
    SELECT id, status FROM responses WHERE project_id = :project_id AND id = ANY(:ids)
""")


class Responses:
    """Data access of responses for the API."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec
        self._recent_flows = RecentFlows()
        self._creations = SharedStatements(self._create_all)

    def new_content_key(self, project_id: str, response_id: UUID) -> bytes | None:
        """Return the key of the content of a new stored response; None if that is in the clear."""
        return self._codec.new_key(project_id, response_id)

    def create(
        self,
        new: ResponseRecord,
        items: Sequence[dict[str, Any]],
        key: RequestKey | None = None,
        *,
        alone: bool = False,
    ) -> bool:
        """Store a queued response with its input items and its idempotency key, atomically.

        Returns False if its conversation is unknown or another response is using it. Raises
        `KeyTakenError` if the key is taken. In both cases nothing is stored. With `alone`, the
        statement is not shared with other requests.
        """
        row = self._row_of(new, items)
        enters_flows = new.not_before is None and not self._recent_flows.has(new)
        has_conversation = new.conversation_id is not None
        if key is None and not (has_conversation or enters_flows or alone):
            self._creations.write(new.project_id, row)
            return True
        statement = creation(has_conversation=has_conversation, enters_flows=enters_flows)
        values = parameters_of(new.project_id, [row])
        if key is None:
            with self._database.statement(new.project_id) as connection:
                is_created = connection.execute(statement, values).first() is not None
        else:
            is_created = self._create_with(key, new, statement, values)
        if is_created and enters_flows:
            self._recent_flows.add(new)
        return is_created

    def _create_with(
        self, key: RequestKey, new: ResponseRecord, statement: TextClause, values: dict[str, str]
    ) -> bool:
        digest = self._codec.keyed_digest(new.project_id, "request", key.digest)
        with self._database.transaction(new.project_id) as connection:
            take_key(connection, new, replace(key, digest=digest))
            if connection.execute(statement, values).first() is not None:
                return True
            connection.rollback()
        return False

    def _create_all(self, project_id: str, rows: Sequence[bytes]) -> None:
        statement = creation(has_conversation=False, enters_flows=False)
        with self._database.statement(project_id) as connection:
            connection.execute(statement, parameters_of(project_id, rows))

    def _row_of(self, new: ResponseRecord, items: Sequence[dict[str, Any]]) -> bytes:
        vault = self._database.vault
        row = {
            "id": new.id,
            "model": new.model,
            "background": new.background,
            "store": new.store,
            "priority": new.priority,
            "previous_response_id": new.previous_response_id,
            "conversation_id": new.conversation_id,
            "metadata": as_json(self._codec.metadata_of_response(new)),
            "parameters": as_json(RowCipher.of(new).write_json(PARAMETERS, new.parameters)),
            "content_key": as_hex(stored_content_key(new, vault)),
            "tool_secrets": as_hex(stored_tool_secrets(new, vault)),
            "created_at": new.created_at,
            "reservation": _reservation(new),
            "end_user": new.end_user,
            "traceparent": new.traceparent,
            "not_before": new.not_before,
            "items": as_json(self._codec.items_of_response(new, "input", items)),
        }
        return orjson.dumps(row)

    def get_unstored(self, project_id: str, response_id: UUID) -> ResponseRecord | None:
        """Return the row, without content, of a `store: false` response; None if unknown."""
        values = {"project_id": project_id, "id": response_id}
        with self._database.statement(project_id) as connection:
            row = connection.execute(_GET_UNSTORED, values).first()
        return to_record(row, self._database.vault, self._codec) if row else None

    def forget_key(self, project_id: str, response_id: UUID) -> None:
        """Erase the key of an unstored response's content."""
        with self._database.statement(project_id) as connection:
            connection.execute(_FORGET_KEY, {"project_id": project_id, "id": response_id})

    def get(self, project_id: str, response_id: UUID) -> ResponseRecord | None:
        """Return a stored response with its output; None if unknown or of another project."""
        with self._database.statement(project_id) as connection:
            row = connection.execute(_GET, {"project_id": project_id, "id": response_id}).first()
        return to_record(row, self._database.vault, self._codec) if row else None

    def delete(self, project_id: str, response_id: UUID) -> ResponseStatus | None:
        """Delete a response with its items and events; return its status.

        None if it is unknown, or neither stored nor temporary.
        """
        with self._database.statement(project_id) as connection:
            status = connection.execute(
                _DELETE, {"project_id": project_id, "id": response_id}
            ).scalar()
        return ResponseStatus(status) if status else None

    def archived_events(self, project_id: str, response_id: UUID) -> list[bytes] | None:
        """Return the JSON of all events of a finished response, in order; None if unknown."""
        with self._database.statement(project_id) as connection:
            values = {"project_id": project_id, "id": response_id}
            data = connection.execute(_ARCHIVE, values).scalar()
        if data is None:
            return None
        archive = self._codec.read_events(project_id, response_id, data)
        return zlib.decompress(archive).split(b"\n")

    def statuses(self, keys: Sequence[tuple[str, UUID]]) -> dict[UUID, ResponseStatus]:
        """Return the status of each (project, response) that still exists.

        There is one query for each project.
        """
        ids: defaultdict[str, list[UUID]] = defaultdict(list)
        for project_id, response_id in keys:
            ids[project_id].append(response_id)
        return {
            row.id: ResponseStatus(row.status)
            for project_id, asked in ids.items()
            for row in self._statuses(project_id, asked)
        }

    def _statuses(self, project_id: str, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
        values = {"project_id": project_id, "ids": ids}
        with self._database.statement(project_id) as connection:
            return connection.execute(_STATUSES, values).all()


def _reservation(new: ResponseRecord) -> str | None:
    reservation = new.reservation
    is_settled = reservation is not None and reservation.has_tokens
    return as_json(reservation) if is_settled else None
