"""Pages of stored items: read by their key or in order, never more bytes than a limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row

from models.database.connection import Database
from models.errors import ContextLengthExceededError
from models.store.content.codec import CONVERSATION, ContentCodec, StoredItem

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of items, as JSON, that one request reads, and that one conversation holds."""

SIZE = "octet_length(CAST(body AS text))"

_CONVERSATION = "conversation_items WHERE project_id = :project_id AND conversation_id = :id"
_INPUT = "items WHERE project_id = :project_id AND response_id = :id AND direction = 'input'"
_FROM = {False: _CONVERSATION, True: _INPUT}
_PLACE = {False: f"'{CONVERSATION}'", True: "'input ' || position"}


class ItemsTooLargeError(ContextLengthExceededError):
    """The stored items that this request needs have more than 64 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Part of a list of items: at most `limit` of them, after the item with the id `after`."""

    limit: int
    after: str | None = None
    is_descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """Items of a page, in the order asked for."""

    items: list[dict[str, Any]]
    has_more: bool


def within_limit(order: str) -> str:
    """Return the SQL of `body`, null where it and those before it exceed `MAX_BYTES`."""
    running = f"sum({SIZE}) OVER (ORDER BY {order})"
    return f"CASE WHEN {running} <= {MAX_BYTES} THEN body END AS body"


def stored_items(rows: Sequence[Row[Any]], *, param: str) -> list[StoredItem]:
    """Return the items of rows with `body`, `owner_id` and `place`.

    Raises `ItemsTooLargeError` if they exceed the limit.
    """
    if any(row.body is None for row in rows):
        raise ItemsTooLargeError(param=param)
    return [StoredItem(row.body, row.owner_id, row.place) for row in rows]


class ItemPages:
    """Pages of the items of one conversation, or of the input items of one response."""

    def __init__(self, database: Database, codec: ContentCodec, *, is_input: bool) -> None:
        self._database = database
        self._codec = codec
        self._position = text(
            f"SELECT position FROM {_FROM[is_input]} AND item_id = :item_id LIMIT 1"
        )
        self._item = text(
            f"SELECT body, {_PLACE[is_input]} AS place FROM {_FROM[is_input]}"
            f" AND item_id = :item_id LIMIT 1"
        )
        self._pages = {
            is_descending: text(f"""
                SELECT {_PLACE[is_input]} AS place, {within_limit(f"position {order}")} FROM (
                    SELECT position, body FROM {_FROM[is_input]}
                      AND position {later} COALESCE(:after, {first})
                    ORDER BY position {order} LIMIT :limit
                ) page ORDER BY position {order}
            """)
            for is_descending, order, later, first in (
                (False, "ASC", ">", "-1"),
                (True, "DESC", "<", "2147483647"),
            )
        }

    def find(self, project_id: str, owner_id: UUID, item_id: str) -> dict[str, Any] | None:
        """Return one item by its id; None if there is none, as for an id with a NUL."""
        if "\0" in item_id:
            return None  # Postgres takes no such text
        values = {"project_id": project_id, "id": owner_id, "item_id": item_id}
        with self._database.statement(project_id) as connection:
            row = connection.execute(self._item, values).first()
        if row is None:
            return None
        [item] = self._read(project_id, owner_id, [row])
        return item

    def read(self, project_id: str, owner_id: UUID, query: PageQuery) -> StoredPage | None:
        """Return a page, shorter if its items exceed the limit; None if `after` is unknown."""
        values = {"project_id": project_id, "id": owner_id}
        with self._database.statement(project_id) as connection:
            after = None
            if query.after is not None:
                key = {**values, "item_id": query.after}
                after = connection.execute(self._position, key).scalar()
                if after is None:
                    return None
            page = {**values, "after": after, "limit": query.limit + 1}
            rows = connection.execute(self._pages[query.is_descending], page).all()
        shown = [row for row in rows[: query.limit] if row.body is not None]
        items = self._read(project_id, owner_id, shown)
        return StoredPage(items=items, has_more=len(rows) > len(items))

    def _read(
        self, project_id: str, owner_id: UUID, rows: Sequence[Row[Any]]
    ) -> list[dict[str, Any]]:
        stored = (StoredItem(row.body, owner_id, row.place) for row in rows)
        return self._codec.read_items(project_id, stored)
