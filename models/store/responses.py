"""Responses as their clients use them: create, read, list, delete."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.idempotency_keys import RequestKey, take_key
from models.store.rows import COLUMNS, OUTPUT, OUTPUT_OF_ID, to_stored, yielding_stored

# One statement is one transaction: the row and its items are there together or not at all. With a
# conversation, so is its lock, which is free again when the response has ended.
_CREATE = text("""
    WITH locked AS (
        UPDATE conversations SET running_id = :id
        WHERE project_id = :project_id AND id = :conversation_id AND running_id IS NULL
        RETURNING id
    ), created AS (
        INSERT INTO responses (id, project_id, model, status, background, store, priority,
                               previous_response_id, conversation_id, metadata, parameters,
                               created_at)
        SELECT :id, :project_id, :model, 'queued', :background, :store, :priority,
               :previous_response_id, :conversation_id, CAST(:metadata AS json),
               CAST(:parameters AS json), :created_at
        WHERE CAST(:conversation_id AS uuid) IS NULL OR EXISTS (SELECT FROM locked)
        RETURNING id, project_id
    ), written AS (
        INSERT INTO items (response_id, direction, position, project_id, body)
        SELECT created.id, 'input', item.position - 1, created.project_id, item.body
        FROM created, json_array_elements(CAST(:items AS json))
            WITH ORDINALITY AS item (body, position)
    )
    SELECT id FROM created
""")

_GET = yielding_stored(
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

_LIST = """
    SELECT {columns}, {output} FROM responses r
    WHERE r.project_id = :project_id AND r.store {where}
    ORDER BY r.id {order} LIMIT :limit
"""

# As the index on it has it: rows without metadata are not in there.
_HAS_METADATA = """
    CAST(r.metadata AS text) <> '{}' AND CAST(r.metadata AS jsonb) @> CAST(:metadata AS jsonb)
"""

_DELETE = text("""
    WITH deleted AS (
        DELETE FROM responses r WHERE r.project_id = :project_id AND r.id = :id AND r.store
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
    SELECT r.project_id, r.id, r.status FROM responses r
    JOIN unnest(CAST(:project_ids AS text[]), CAST(:ids AS uuid[])) AS asked (project_id, id)
      ON r.project_id = asked.project_id AND r.id = asked.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Which responses of a project, newest first unless `ascending`.

    `after` and `before` are ids, in the order of the list; with `before` alone, those right before.
    """

    status: ResponseStatus | None = None
    model: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """Pairs that a response must have."""
    after: UUID | None = None
    before: UUID | None = None
    ascending: bool = False
    limit: int = 20

    @property
    def is_backward(self) -> bool:
        """Whether the list is read from its cursor towards its beginning."""
        return self.before is not None and self.after is None


class Responses:
    """What the API reads and writes of stored responses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, new: ResponseRecord, items: Sequence[dict[str, Any]], key: RequestKey | None = None
    ) -> bool:
        """Store a queued response with its input items, and the key its client gave, atomically.

        False if its conversation is unknown or another response works on it. Raises
        `KeyTakenError` if the key is taken. Either way nothing is stored.
        """
        values = {
            "id": new.id,
            "project_id": new.project_id,
            "model": new.model,
            "background": new.background,
            "store": new.store,
            "priority": new.priority,
            "previous_response_id": new.previous_response_id,
            "conversation_id": new.conversation_id,
            "metadata": orjson.dumps(new.metadata).decode(),
            "parameters": orjson.dumps(new.parameters).decode(),
            "created_at": new.created_at,
            "items": orjson.dumps(list(items)).decode(),
        }
        if key is None:
            with self._database.statement() as connection:
                return connection.execute(_CREATE, values).first() is not None
        with self._database.transaction() as connection:
            take_key(connection, new, key)
            if connection.execute(_CREATE, values).first() is not None:
                return True
            connection.rollback()
        return False

    def get_unstored(self, project_id: str, response_id: UUID) -> ResponseRecord | None:
        """The row of a response that is not stored, without its content."""
        values = {"project_id": project_id, "id": response_id}
        with self._database.statement() as connection:
            row = connection.execute(_GET_UNSTORED, values).first()
        return to_stored(row) if row else None

    def get(self, project_id: str, response_id: UUID) -> ResponseRecord | None:
        """The stored response with its output; None if unknown, foreign or not stored."""
        with self._database.statement() as connection:
            row = connection.execute(_GET, {"project_id": project_id, "id": response_id}).first()
        return to_stored(row) if row else None

    def list_responses(self, project_id: str, chosen: ListFilter) -> list[ResponseRecord]:
        """The project's stored responses that pass the filter, in order of creation."""
        where, values = "", {"project_id": project_id, "limit": chosen.limit}
        later, earlier = (">", "<") if chosen.ascending else ("<", ">")
        for name, condition, value in (
            ("status", "r.status = :status", chosen.status),
            ("model", "r.model = :model", chosen.model),
            ("metadata", _HAS_METADATA, orjson.dumps(chosen.metadata).decode()),
            ("after", f"r.id {later} :after", chosen.after),
            ("before", f"r.id {earlier} :before", chosen.before),
        ):
            if value not in (None, "{}"):
                where += f" AND {condition}"
                values[name] = value
        order = "ASC" if chosen.ascending != chosen.is_backward else "DESC"
        statement = _LIST.format(columns=COLUMNS, output=OUTPUT, where=where, order=order)
        with self._database.search() as connection:
            found = [to_stored(row) for row in connection.execute(text(statement), values)]
        return found[::-1] if chosen.is_backward else found

    def delete(self, project_id: str, response_id: UUID) -> ResponseStatus | None:
        """Delete a response with its items and events; its last status, None if unknown."""
        with self._database.statement() as connection:
            status = connection.execute(
                _DELETE, {"project_id": project_id, "id": response_id}
            ).scalar()
        return ResponseStatus(status) if status else None

    def archived_events(self, project_id: str, response_id: UUID) -> list[bytes] | None:
        """All events of a finished response as JSON, from sequence number 0."""
        with self._database.statement() as connection:
            values = {"project_id": project_id, "id": response_id}
            data = connection.execute(_ARCHIVE, values).scalar()
        return zlib.decompress(data).split(b"\n") if data is not None else None

    def statuses(self, keys: Sequence[tuple[str, UUID]]) -> dict[UUID, ResponseStatus]:
        """The status of each (project, response) that still exists, in one query."""
        values = {"project_ids": [key[0] for key in keys], "ids": [key[1] for key in keys]}
        with self._database.statement() as connection:
            rows = connection.execute(_STATUSES, values)
            return {row.id: ResponseStatus(row.status) for row in rows}
