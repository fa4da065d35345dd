"""Stored items: of one response, of a chain of responses, or by their ids."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.ids import parse_item_id

MAX_CHAIN = 1000
"""Maximum number of responses in a chain of `previous_response_id`."""

_INPUT_ITEMS = text("""
    SELECT body FROM items
    WHERE project_id = :project_id AND response_id = :id AND direction = 'input'
    ORDER BY position
""")

# An id that was made here names its response, whose item is the one. Conversations may outlive the
# responses of their items: of their copies, those that were made here count.
_MADE_ITEMS = text("""
    SELECT DISTINCT ON (id) id, body FROM (
        SELECT asked.id, i.body, i.response_id AS age
        FROM unnest(CAST(:ids AS text[]), CAST(:owners AS uuid[])) AS asked (id, owner)
        JOIN items i ON i.project_id = :project_id AND i.response_id = asked.owner
         AND i.body ->> 'id' = asked.id
        UNION ALL
        SELECT item_id, body, conversation_id FROM conversation_items
        WHERE project_id = :project_id AND item_id = ANY(:ids) AND made_here
    ) found ORDER BY id, age
""")

# Any client may give any other id to any number of items.
_GIVEN_ITEMS = text("""
    SELECT id, CAST(min(body) AS json) AS body, min(body) = max(body) AS is_unique FROM (
        SELECT body ->> 'id' AS id, CAST(body AS text) COLLATE "C" AS body FROM items
        WHERE project_id = :project_id AND body ->> 'id' = ANY(:ids)
        UNION ALL
        SELECT item_id, CAST(body AS text) COLLATE "C" FROM conversation_items
        WHERE project_id = :project_id AND item_id = ANY(:ids)
    ) found GROUP BY id
""")

# Lateral sub-selects, one look-up per response: a join would scan all responses of the project.
_CHAIN = text("""
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
    SELECT said.body FROM chain CROSS JOIN LATERAL (
        SELECT i.body, i.direction, i.position FROM items i
        WHERE i.project_id = :project_id AND i.response_id = chain.id
          AND NOT (i.direction = 'output' AND i.body ->> 'id' ~ '^[a-z]+_[0-9a-f]{32}_c[0-9]+_')
        OFFSET 0
    ) said
    ORDER BY chain.age DESC, said.direction, said.position
""")


class AmbiguousItemError(Exception):
    """Raised for an id that clients gave to several items that differ."""

    def __init__(self, item_id: str) -> None:
        super().__init__(item_id)
        self.item_id = item_id


class Items:
    """Read access to stored items for the API and the worker."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_input(self, project_id: str, response_id: UUID) -> list[dict[str, Any]]:
        """Return the input items of one response, in order."""
        with self._database.statement() as connection:
            values = {"project_id": project_id, "id": response_id}
            return list(connection.execute(_INPUT_ITEMS, values).scalars())

    def by_id(self, project_id: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the project's stored items with these ids, by id; unknown ids are left out.

        An id that was made here is that of the item it was made for, whoever else used it since.
        Raises `AmbiguousItemError` for an id that clients gave to items that differ.
        """
        owners = {item_id: parse_item_id(item_id) for item_id in ids}
        made = [item_id for item_id, owner in owners.items() if owner is not None]
        given = [item_id for item_id, owner in owners.items() if owner is None]
        found: dict[str, dict[str, Any]] = {}
        with self._database.statement() as connection:
            if made:
                values = {"ids": made, "owners": [owners[item_id] for item_id in made]}
                rows = connection.execute(_MADE_ITEMS, {"project_id": project_id, **values})
                found |= {row.id: row.body for row in rows}
            if given:
                rows = connection.execute(_GIVEN_ITEMS, {"project_id": project_id, "ids": given})
                for row in rows:
                    if not row.is_unique:
                        raise AmbiguousItemError(row.id)
                    found[row.id] = row.body
        return found

    def of_chain(self, project_id: str, response_id: UUID) -> list[dict[str, Any]]:
        """Return input and output of a response and all before it, oldest first (§6).

        Of responses with several choices, only the first choice is included.
        """
        values = {"project_id": project_id, "id": response_id, "max_age": MAX_CHAIN - 1}
        with self._database.statement() as connection:
            return list(connection.execute(_CHAIN, values).scalars())
