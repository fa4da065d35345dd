"""Encryption of content that was stored in the clear, before there were content keys.

That of a response is encrypted once it has ended: the readers of one that runs know from its row if
its events in Redis are encrypted. Only then does anything of a response never change again.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from models.database.connection import Database
from models.store.content.codec import (
    CONVERSATION,
    ERROR,
    EVENTS,
    METADATA,
    PARAMETERS,
    ContentCodec,
)
from models.store.content.row_cipher import RowCipher, as_json, is_encrypted

_PAGE = 500
_ITEM_PAGE = 50
_ZERO = UUID(int=0)

_PROJECTS = text("SELECT project_id FROM projects ORDER BY project_id")

# Encrypted rows are read, too: to skip them in SQL could take longer than a statement may.
_RESPONSES = text(f"""
    SELECT id, finished_at IS NOT NULL AS has_ended,
           json_typeof(parameters -> 'enc') IS NOT DISTINCT FROM 'array' AS is_encrypted
    FROM responses WHERE project_id = :project_id AND store AND id > :after
    ORDER BY id LIMIT {_PAGE}
""")
_RESPONSE = text("""
    SELECT id, parameters, metadata, error FROM responses
    WHERE project_id = :project_id AND id = :id
""")
_ITEMS = text("""
    SELECT direction, position, body FROM items
    WHERE project_id = :project_id AND response_id = :id
""")
_ARCHIVE = text("""
    SELECT data FROM event_archives WHERE project_id = :project_id AND response_id = :id
""")
_SET_ITEM = text("""
    UPDATE items SET body = :body
    WHERE project_id = :project_id AND response_id = :id
      AND direction = :direction AND position = :position
""")
_SET_ARCHIVE = text("""
    UPDATE event_archives SET data = :data WHERE project_id = :project_id AND response_id = :id
""")
_SET_RESPONSE = text("""
    UPDATE responses SET parameters = :parameters, metadata = :metadata, error = :error
    WHERE project_id = :project_id AND id = :id
""")
# A trigger writes them with the row, and with nothing else.
_FORGET_PAIRS = text("""
    DELETE FROM response_metadata WHERE project_id = :project_id AND response_id = :id
""")
_SET_PAIRS = text("""
    INSERT INTO response_metadata (response_id, pair, project_id)
    SELECT :id, metadata_pair(key, value), :project_id
    FROM json_each_text(CAST(:metadata AS json)) ON CONFLICT DO NOTHING
""")

_CONVERSATIONS = text(f"""
    SELECT id, metadata FROM conversations
    WHERE project_id = :project_id AND id > :after ORDER BY id LIMIT {_PAGE}
""")
_SET_CONVERSATION = text("""
    UPDATE conversations SET metadata = :metadata
    WHERE project_id = :project_id AND id = :id AND CAST(metadata AS text) = :before
""")
_CONVERSATION_ITEMS = text(f"""
    SELECT position, body FROM conversation_items
    WHERE project_id = :project_id AND conversation_id = :id AND position > :after
    ORDER BY position LIMIT {_ITEM_PAGE}
""")
_SET_CONVERSATION_ITEM = text("""
    UPDATE conversation_items SET body = :body
    WHERE project_id = :project_id AND conversation_id = :id AND position = :position
""")


class OldContent:
    """Content in the clear, of all projects."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec

    def encrypt(self) -> Iterator[str]:
        """Encrypt it, one response or conversation after the other; yield the project of each."""
        with self._database.management() as connection:
            projects = list(connection.execute(_PROJECTS).scalars())
        for project_id in projects:
            for response_id in self._responses_in_clear(project_id):
                self._encrypt_response(project_id, response_id)
                yield project_id
            for row in self._pages(_CONVERSATIONS, project_id):
                if self._encrypt_conversation(project_id, row):
                    yield project_id

    def _responses_in_clear(self, project_id: str) -> Iterator[UUID]:
        for row in self._pages(_RESPONSES, project_id):
            if row.has_ended and not row.is_encrypted:
                yield row.id

    def _encrypt_response(self, project_id: str, response_id: UUID) -> None:
        key = {"project_id": project_id, "id": response_id}
        cipher = RowCipher(response_id, self._codec.new_key(project_id, response_id))
        with self._database.transaction(project_id) as connection:
            for item in connection.execute(_ITEMS, key).all():
                place = f"{item.direction} {item.position}"
                body = self._codec.write_item(cipher, project_id, place, item.body)
                values = {"direction": item.direction, "position": item.position}
                connection.execute(_SET_ITEM, {**key, **values, "body": as_json(body)})
            for data in connection.execute(_ARCHIVE, key).scalars().all():
                connection.execute(_SET_ARCHIVE, {**key, "data": cipher.write_bytes(EVENTS, data)})
            for row in connection.execute(_RESPONSE, key).all():
                columns = self._columns(cipher, project_id, row)
                connection.execute(_SET_RESPONSE, {**key, **columns})
                connection.execute(_FORGET_PAIRS, key)
                connection.execute(_SET_PAIRS, {**key, "metadata": columns["metadata"]})

    def _columns(self, cipher: RowCipher, project_id: str, row: Row[Any]) -> dict[str, str | None]:
        metadata = self._codec.write_metadata(cipher, project_id, row.metadata)
        error = row.error and as_json(cipher.write_json(ERROR, row.error))
        parameters = cipher.write_json(PARAMETERS, row.parameters)
        return {"parameters": as_json(parameters), "metadata": as_json(metadata), "error": error}

    def _encrypt_conversation(self, project_id: str, row: Row[Any]) -> bool:
        """Encrypt what is in the clear of a conversation; False if there is nothing."""
        cipher = self._codec.conversation(project_id, row.id)
        num_changed = 0
        if row.metadata and not is_encrypted(row.metadata):
            metadata = as_json(cipher.write_json(METADATA, row.metadata))
            before = as_json(row.metadata)
            values = {"id": row.id, "metadata": metadata, "before": before}
            num_changed += self._change(_SET_CONVERSATION, project_id, values)
        position = -1
        while page := self._page(_CONVERSATION_ITEMS, project_id, id=row.id, after=position):
            for item in page:
                if not is_encrypted(item.body):
                    body = self._codec.write_item(cipher, project_id, CONVERSATION, item.body)
                    values = {"id": row.id, "position": item.position, "body": as_json(body)}
                    num_changed += self._change(_SET_CONVERSATION_ITEM, project_id, values)
            position = page[-1].position
        return num_changed > 0

    def _change(self, statement: TextClause, project_id: str, values: dict[str, Any]) -> int:
        with self._database.statement(project_id) as connection:
            return connection.execute(statement, {"project_id": project_id, **values}).rowcount

    def _pages(self, statement: TextClause, project_id: str) -> Iterator[Row[Any]]:
        """Yield the rows of all pages, in the order of their ids."""
        after = _ZERO
        while page := self._page(statement, project_id, after=after):
            yield from page
            after = page[-1].id

    def _page(self, statement: TextClause, project_id: str, **values: Any) -> list[Row[Any]]:
        with self._database.statement(project_id) as connection:
            rows = connection.execute(statement, {"project_id": project_id, **values})
            return list(rows.all())
