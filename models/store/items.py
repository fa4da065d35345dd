"""Stored items: of one response, of a chain of responses, or by their ids."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row

from models.database.connection import Database
from models.errors import PreviousResponseNotFoundError
from models.ids import parse_item_id, response_wire_id
from models.store.content.codec import CONVERSATION, ContentCodec
from models.store.item_pages import ItemPages, stored_items, within_limit

MAX_CHAIN = 1000
"""Maximum number of responses in a chain of `previous_response_id`."""

_OTHER_CHOICE = "^[a-z]+_[0-9a-f]{32}_c[0-9]+_"
"""Pattern of the ids of items of choices other than the first."""

# An id that was made here names its response, whose item is the one. Conversations may outlive the
# responses of their items: of their copies, those that were made here count.
_MADE_ITEMS = text(f"""
    WITH found AS (
        SELECT asked.id, i.body, i.response_id AS owner_id,
               i.direction || ' ' || i.position AS place
        FROM unnest(CAST(:ids AS text[]), CAST(:owners AS uuid[])) AS asked (id, owner)
        JOIN items i ON i.project_id = :project_id AND i.response_id = asked.owner
         AND i.item_id = asked.id
        UNION ALL
        SELECT item_id, body, conversation_id, '{CONVERSATION}' FROM conversation_items
        WHERE project_id = :project_id AND item_id = ANY(:ids) AND made_here
    ), first AS (
        SELECT DISTINCT ON (id) * FROM found ORDER BY id, owner_id
    )
    SELECT id, owner_id, place, {within_limit("id")}, true AS is_unique FROM first
""")

# Any client may give any other id to any number of items. Encrypted ones are equal if their digests
# are; there is one row for them, and one for those in the clear.
_GIVEN_ITEMS = text(f"""
    WITH found AS (
        SELECT item_id AS id, body, response_id AS owner_id, direction || ' ' || position AS place
        FROM items WHERE project_id = :project_id AND item_id = ANY(:ids)
        UNION ALL
        SELECT item_id, body, conversation_id, '{CONVERSATION}' FROM conversation_items
        WHERE project_id = :project_id AND item_id = ANY(:ids)
    ), compared AS (
        SELECT id, is_encrypted, ARRAY[
            CASE WHEN is_encrypted THEN body ->> 'eq' ELSE CAST(body AS text) END,
            CAST(owner_id AS text), place, CASE WHEN is_encrypted THEN CAST(body AS text) END
        ] COLLATE "C" AS item
        FROM found CROSS JOIN LATERAL (
            SELECT json_typeof(body -> 'enc') IS NOT DISTINCT FROM 'array' AS is_encrypted
        ) form
    ), by_id AS (
        SELECT id, min(item) AS item, (min(item))[1] = (max(item))[1] AS is_unique
        FROM compared GROUP BY id, is_encrypted
    ), chosen AS (
        SELECT id, CAST(item[2] AS uuid) AS owner_id, item[3] AS place,
               CAST(coalesce(item[4], item[1]) AS json) AS body, is_unique FROM by_id
    )
    SELECT id, owner_id, place, {within_limit("id")}, is_unique FROM chosen
""")

# Lateral sub-selects, one look-up per response: a join would scan all responses of the project.
# The oldest response that was found comes first, also if it has no items.
_CHAIN = text(f"""
    WITH RECURSIVE chain (id, previous_response_id, age) AS (
        SELECT id, previous_response_id, 0 FROM responses
        WHERE project_id = :project_id AND id = :id AND store
        UNION ALL
        SELECT earlier.id, earlier.previous_response_id, chain.age + 1
        FROM chain CROSS JOIN LATERAL (
            SELECT r.id, r.previous_response_id FROM responses r
            WHERE r.project_id = :project_id AND r.id = chain.previous_response_id AND r.store
            OFFSET 0
        ) earlier
        WHERE chain.age < :max_age
    )
    SELECT chain.age, chain.previous_response_id, said.direction, chain.id AS owner_id,
           said.direction || ' ' || said.position AS place,
           {within_limit("chain.age, said.direction DESC, said.position DESC")}
    FROM chain LEFT JOIN LATERAL (
        SELECT i.body, i.direction, i.position FROM items i
        WHERE i.project_id = :project_id AND i.response_id = chain.id
          AND NOT (i.direction = 'output' AND i.item_id ~ '{_OTHER_CHOICE}')
        OFFSET 0
    ) said ON true
    ORDER BY chain.age DESC, said.direction, said.position
""")

# Before it ends, a response has no other items.
_INPUT = text(f"""
    SELECT i.response_id AS owner_id, i.direction || ' ' || i.position AS place,
           {within_limit("i.position DESC")}
    FROM items i
    WHERE i.project_id = :project_id AND i.response_id = :id AND i.direction = 'input'
    ORDER BY i.position
""")


class AmbiguousItemError(Exception):
    """Raised for an id that clients gave to several items that differ."""

    def __init__(self, item_id: str) -> None:
        super().__init__(item_id)
        self.item_id = item_id


class ChainBrokenError(PreviousResponseNotFoundError):
    """An earlier response of the chain is gone."""

    def __init__(self, missing_id: UUID, num_found: int) -> None:
        wire_id = response_wire_id(missing_id)
        message = f"Response '{wire_id}', earlier in the chain, was deleted or has expired."
        if num_found >= MAX_CHAIN:
            message = f"The chain has more than {MAX_CHAIN} responses; '{wire_id}' is not read."
        super().__init__(message, param="previous_response_id")


class Items:
    """Read access to stored items for the API and the worker."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec
        self.input_pages = ItemPages(database, codec, is_input=True)

    def by_id(self, project_id: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the project's stored items with these ids, by id; unknown ids are left out.

        An id that was made here is that of the item it was made for, whoever else used it since.
        Raises `AmbiguousItemError` for an id that clients gave to items that differ.
        """
        owners = {item_id: parse_item_id(item_id) for item_id in ids}
        made = [item_id for item_id, owner in owners.items() if owner is not None]
        given = [item_id for item_id, owner in owners.items() if owner is None]
        rows: list[Row[Any]] = []
        with self._database.statement(project_id) as connection:
            if made:
                values = {"ids": made, "owners": [owners[item_id] for item_id in made]}
                rows += connection.execute(_MADE_ITEMS, {"project_id": project_id, **values})
            if given:
                rows += connection.execute(_GIVEN_ITEMS, {"project_id": project_id, "ids": given})
        found: dict[str, dict[str, Any]] = {}
        items = self._codec.read_items(project_id, stored_items(rows, param="input"))
        for row, item in zip(rows, items, strict=True):
            if not row.is_unique or found.get(row.id, item) != item:
                raise AmbiguousItemError(row.id)
            found[row.id] = item
        return found

    def input_of(self, project_id: str, response_id: UUID) -> list[dict[str, Any]]:
        """Return the input of one response, which costs half as much as to look for a chain.

        Raises `ItemsTooLargeError` if the items have too many bytes.
        """
        with self._database.statement(project_id) as connection:
            values = {"project_id": project_id, "id": response_id}
            rows = connection.execute(_INPUT, values).all()
        return self._codec.read_items(project_id, stored_items(rows, param="input"))

    def of_chain(self, project_id: str, response_id: UUID) -> list[dict[str, Any]]:
        """Return input and output of a response and all before it, oldest first (§6).

        Of responses with several choices, only the first choice is included. Of an unstored
        response there is nothing. Raises `ChainBrokenError` if an earlier response is gone or if
        they are too many, and `ItemsTooLargeError` if the items have too many bytes.
        """
        values = {"project_id": project_id, "id": response_id, "max_age": MAX_CHAIN - 1}
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_CHAIN, values).all()
        if rows and rows[0].previous_response_id is not None:
            raise ChainBrokenError(rows[0].previous_response_id, rows[0].age + 1)
        said = [row for row in rows if row.direction is not None]
        stored = stored_items(said, param="previous_response_id")
        return self._codec.read_items(project_id, stored)
