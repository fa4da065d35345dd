"""Stored items: of one response, of a chain of responses, or by their ids."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database

MAX_CHAIN = 1000
"""Maximum number of responses in a chain of `previous_response_id`."""

_INPUT_ITEMS = text("""
    SELECT body FROM items
    WHERE project_id = :project_id AND response_id = :id AND direction = 'input'
    ORDER BY position
""")

# Of copies of one item, the newest. Conversations may outlive the responses of their items.
_ITEMS_BY_ID = text("""
    SELECT DISTINCT ON (id) id, body FROM (
        SELECT body ->> 'id' AS id, body, response_id AS age FROM items
        WHERE project_id = :project_id AND body ->> 'id' = ANY(:ids)
        UNION ALL
        SELECT item_id, body, conversation_id FROM conversation_items
        WHERE project_id = :project_id AND item_id = ANY(:ids)
    ) found ORDER BY id, age DESC
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
        """Return the project's stored items with these ids, by id; unknown ids are left out."""
        with self._database.statement() as connection:
            rows = connection.execute(_ITEMS_BY_ID, {"project_id": project_id, "ids": list(ids)})
            return {row.id: row.body for row in rows}

    def of_chain(self, project_id: str, response_id: UUID) -> list[dict[str, Any]]:
        """Return input and output of a response and all before it, oldest first (§6).

        Of responses with several choices, only the first choice is included.
        """
        values = {"project_id": project_id, "id": response_id, "max_age": MAX_CHAIN - 1}
        with self._database.statement() as connection:
            return list(connection.execute(_CHAIN, values).scalars())
