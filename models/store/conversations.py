"""Conversations: created, changed and read; responses add to them in `responses` and `claims`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Row

from models.database.connection import Database

MAX_ITEMS = 10_000
"""The newest items that are read of one conversation."""

_COLUMNS = "id, project_id, metadata, running_id, created_at"

_CREATE = text("""
    WITH created AS (
        INSERT INTO conversations (id, project_id, metadata, created_at, next_position)
        VALUES (:id, :project_id, :metadata, :created_at, :num_items)
        RETURNING id, project_id
    )
    INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body)
    SELECT created.id, item.position - 1, created.project_id, item.body ->> 'id', item.body
    FROM created, json_array_elements(CAST(:items AS json))
        WITH ORDINALITY AS item (body, position)
""")

_GET = text(f"""
    SELECT {_COLUMNS} FROM conversations WHERE project_id = :project_id AND id = :id
""")

_UPDATE = text(f"""
    UPDATE conversations SET metadata = :metadata
    WHERE project_id = :project_id AND id = :id RETURNING {_COLUMNS}
""")

_DELETE = text("""
    DELETE FROM conversations
    WHERE project_id = :project_id AND id = :id AND running_id IS NULL RETURNING id
""")

# The row that is updated makes others wait, so that no position is given twice.
_ADD_ITEMS = text("""
    WITH extended AS (
        UPDATE conversations SET next_position = next_position + :num_items
        WHERE project_id = :project_id AND id = :id AND running_id IS NULL
        RETURNING id, project_id, next_position - :num_items AS first
    ), added AS (
        INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body)
        SELECT extended.id, extended.first + item.position - 1, extended.project_id,
               item.body ->> 'id', item.body
        FROM extended, json_array_elements(CAST(:items AS json))
            WITH ORDINALITY AS item (body, position)
    )
    SELECT id FROM extended
""")

_DELETE_ITEM = text("""
    DELETE FROM conversation_items i USING conversations c
    WHERE c.project_id = :project_id AND c.id = :id AND c.running_id IS NULL
      AND i.project_id = c.project_id AND i.conversation_id = c.id AND i.item_id = :item_id
    RETURNING i.item_id
""")

_ITEMS = text(f"""
    SELECT body FROM (
        SELECT position, body FROM conversation_items
        WHERE project_id = :project_id AND conversation_id = :id
        ORDER BY position DESC LIMIT {MAX_ITEMS}
    ) newest ORDER BY position
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """One row of `conversations`."""

    id: UUID
    project_id: str
    metadata: dict[str, str] = field(default_factory=dict)
    running_id: UUID | None = None
    """The response that works on it; while there is one, its items cannot be changed."""
    created_at: datetime


class Conversations:
    """What the API reads and writes of conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: StoredConversation, items: Sequence[dict[str, Any]]) -> None:
        """Store a conversation with its first items, atomically."""
        values = {
            "id": new.id,
            "project_id": new.project_id,
            "metadata": orjson.dumps(new.metadata).decode(),
            "created_at": new.created_at,
            "num_items": len(items),
            "items": orjson.dumps(list(items)).decode(),
        }
        with self._database.statement() as connection:
            connection.execute(_CREATE, values)

    def get(self, project_id: str, conversation_id: UUID) -> StoredConversation | None:
        """The conversation; None if unknown or foreign."""
        return _to_stored(self._one(_GET, project_id, conversation_id))

    def update(
        self, project_id: str, conversation_id: UUID, metadata: dict[str, str]
    ) -> StoredConversation | None:
        """Replace the metadata; None if unknown or foreign."""
        given = orjson.dumps(metadata).decode()
        return _to_stored(self._one(_UPDATE, project_id, conversation_id, metadata=given))

    def delete(self, project_id: str, conversation_id: UUID) -> bool:
        """Delete a conversation and its items; False if a response works on it, or unknown."""
        return self._one(_DELETE, project_id, conversation_id) is not None

    def items(self, project_id: str, conversation_id: UUID) -> list[dict[str, Any]]:
        """The items in order; of a very long conversation the newest."""
        values = {"project_id": project_id, "id": conversation_id}
        with self._database.statement() as connection:
            return list(connection.execute(_ITEMS, values).scalars())

    def add_items(
        self, project_id: str, conversation_id: UUID, items: Sequence[dict[str, Any]]
    ) -> bool:
        """Append items, which have ids; False if a response works on it, or unknown."""
        given = {"items": orjson.dumps(list(items)).decode(), "num_items": len(items)}
        return self._one(_ADD_ITEMS, project_id, conversation_id, **given) is not None

    def delete_item(self, project_id: str, conversation_id: UUID, item_id: str) -> bool:
        """Delete one item; False if a response works on the conversation, or unknown."""
        return self._one(_DELETE_ITEM, project_id, conversation_id, item_id=item_id) is not None

    def _one(
        self, statement: TextClause, project_id: str, conversation_id: UUID, **more: Any
    ) -> Row[Any] | None:
        values = {"project_id": project_id, "id": conversation_id, **more}
        with self._database.statement() as connection:
            return connection.execute(statement, values).first()


def _to_stored(row: Row[Any] | None) -> StoredConversation | None:
    return None if row is None else StoredConversation(**row._mapping)
