"""Conversations: create, read, update, delete; responses append to them in `finish`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Row

from models.database.connection import Database
from models.store.content.codec import CONVERSATION, METADATA, ContentCodec
from models.store.content.row_cipher import as_json
from models.store.item_pages import MAX_BYTES, SIZE, ItemPages, stored_items, within_limit

MAX_ITEMS = 10_000
"""Maximum number of items read of one conversation, the newest."""

_COLUMNS = "id, project_id, metadata, running_id, created_at"

_CREATE = text("""
    WITH created AS (
        INSERT INTO conversations (id, project_id, metadata, created_at, next_position)
        VALUES (:id, :project_id, :metadata, :created_at, :num_items)
        RETURNING id, project_id
    )
    INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body, made_here)
    SELECT created.id, item.position - 1, created.project_id, item.body ->> 'id', item.body,
           item.body ->> 'id' = ANY(:made_ids)
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

# The UPDATE locks the conversation's row, so that no position is assigned twice.
_ADD_ITEMS = text(f"""
    WITH extended AS (
        UPDATE conversations SET next_position = next_position + :num_items
        WHERE project_id = :project_id AND id = :id AND running_id IS NULL AND (
            SELECT COALESCE(sum({SIZE}), 0) + :num_bytes <= {MAX_BYTES}
               AND count(*) + :num_items <= {MAX_ITEMS}
            FROM conversation_items WHERE project_id = :project_id AND conversation_id = :id
        )
        RETURNING id, project_id, next_position - :num_items AS first
    ), added AS (
        INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body,
                                        made_here)
        SELECT extended.id, extended.first + item.position - 1, extended.project_id,
               item.body ->> 'id', item.body, item.body ->> 'id' = ANY(:made_ids)
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

_USED_IDS = text("""
    SELECT item_id FROM conversation_items
    WHERE project_id = :project_id AND conversation_id = :id AND item_id = ANY(:item_ids)
""")

_ITEMS = text(f"""
    SELECT CAST(:id AS uuid) AS owner_id, '{CONVERSATION}' AS place,
           {within_limit("position DESC")}
    FROM (
        SELECT position, body FROM conversation_items
        WHERE project_id = :project_id AND conversation_id = :id
        ORDER BY position DESC LIMIT {MAX_ITEMS}
    ) newest ORDER BY position
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRecord:
    """One row of `conversations`."""

    id: UUID
    project_id: str
    metadata: dict[str, str] = field(default_factory=dict)
    running_id: UUID | None = None
    """Unfinished response of the conversation; while there is one, items cannot be changed."""
    created_at: datetime


class Conversations:
    """Data access of conversations for the API."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec
        self.pages = ItemPages(database, codec, is_input=False)

    def create(
        self,
        new: ConversationRecord,
        items: Sequence[dict[str, Any]],
        made_ids: Collection[str] = (),
    ) -> None:
        """Store a conversation with its first items, atomically; the server made `made_ids`."""
        values = {
            "id": new.id,
            "project_id": new.project_id,
            "metadata": self._encode_metadata(new.project_id, new.id, new.metadata),
            "created_at": new.created_at,
            "num_items": len(items),
            "items": as_json(self._codec.items_of_conversation(new.project_id, new.id, items)),
            "made_ids": list(made_ids),
        }
        with self._database.statement(new.project_id) as connection:
            connection.execute(_CREATE, values)

    def get(self, project_id: str, conversation_id: UUID) -> ConversationRecord | None:
        """Return the conversation; None if unknown or of another project."""
        return self._to_record(self._execute(_GET, project_id, conversation_id))

    def update(
        self, project_id: str, conversation_id: UUID, metadata: dict[str, str]
    ) -> ConversationRecord | None:
        """Replace the metadata; None if the conversation is unknown or of another project."""
        encoded = self._encode_metadata(project_id, conversation_id, metadata)
        row = self._execute(_UPDATE, project_id, conversation_id, metadata=encoded)
        return self._to_record(row)

    def delete(self, project_id: str, conversation_id: UUID) -> bool:
        """Delete a conversation and its items; False if a response is using it, or unknown."""
        return self._execute(_DELETE, project_id, conversation_id) is not None

    def items(self, project_id: str, conversation_id: UUID) -> list[dict[str, Any]]:
        """Return the items in order; at most the newest `MAX_ITEMS`.

        Raises `ItemsTooLargeError` if they have more than `MAX_BYTES`.
        """
        values = {"project_id": project_id, "id": conversation_id}
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_ITEMS, values).all()
        return self._codec.read_items(project_id, stored_items(rows, param="conversation"))

    def used_ids(self, project_id: str, conversation_id: UUID, item_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that items of the conversation have."""
        values = {"project_id": project_id, "id": conversation_id, "item_ids": list(item_ids)}
        with self._database.statement(project_id) as connection:
            return set(connection.execute(_USED_IDS, values).scalars())

    def add_items(
        self,
        project_id: str,
        conversation_id: UUID,
        items: Sequence[dict[str, Any]],
        made_ids: Collection[str] = (),
    ) -> bool:
        """Append items, which must have ids; the server made `made_ids`.

        Returns False if a response is using it, if it is unknown, or if it would be too large.
        Raises `DuplicateKeyError` if it has an item with the id of one of them.
        """
        bodies = self._codec.items_of_conversation(project_id, conversation_id, items)
        encoded = orjson.dumps(bodies)
        values = {
            "items": encoded.decode(),
            "num_items": len(items),
            "num_bytes": len(encoded),
            "made_ids": list(made_ids),
        }
        return self._execute(_ADD_ITEMS, project_id, conversation_id, **values) is not None

    def delete_item(self, project_id: str, conversation_id: UUID, item_id: str) -> bool:
        """Delete one item; False if a response is using the conversation, or unknown."""
        return self._execute(_DELETE_ITEM, project_id, conversation_id, item_id=item_id) is not None

    def _execute(
        self, statement: TextClause, project_id: str, conversation_id: UUID, **more: Any
    ) -> Row[Any] | None:
        values = {"project_id": project_id, "id": conversation_id, **more}
        with self._database.statement(project_id) as connection:
            return connection.execute(statement, values).first()

    def _encode_metadata(
        self, project_id: str, conversation_id: UUID, metadata: dict[str, str]
    ) -> str:
        cipher = self._codec.conversation(project_id, conversation_id)
        return as_json(cipher.write_json(METADATA, metadata) if metadata else {})

    def _to_record(self, row: Row[Any] | None) -> ConversationRecord | None:
        if row is None:
            return None
        metadata = self._codec.read_metadata_of_conversation(row.project_id, row.id, row.metadata)
        return ConversationRecord(**{**row._mapping, "metadata": metadata})
