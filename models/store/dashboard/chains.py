"""Trees of turns: the responses that a response follows on, and those that follow on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.responses.status import ResponseStatus

MAX_BEFORE = 100
"""Turns before a response that its tree begins with."""
MAX_TURNS = 300

# Lateral sub-selects, one look-up per response: a join would scan all responses of the project.
_FIRST = text("""
    WITH RECURSIVE chain (id, previous_response_id, age) AS (
        SELECT r.id, r.previous_response_id, 0 FROM responses r
        WHERE r.project_id = :project_id AND r.id = :id AND r.store
        UNION ALL
        SELECT earlier.id, earlier.previous_response_id, chain.age + 1
        FROM chain CROSS JOIN LATERAL (
            SELECT r.id, r.previous_response_id FROM responses r
            WHERE r.project_id = :project_id AND r.id = chain.previous_response_id AND r.store
            OFFSET 0
        ) earlier
        WHERE chain.age < :max_before
    )
    SELECT id FROM chain ORDER BY age DESC LIMIT 1
""")

_TREE = text("""
    WITH RECURSIVE tree (id, previous_response_id, model, status, age) AS (
        SELECT r.id, r.previous_response_id, r.model, CAST(r.status AS text), 0 FROM responses r
        WHERE r.project_id = :project_id AND r.id = :id AND r.store
        UNION ALL
        SELECT later.id, later.previous_response_id, later.model, later.status, tree.age + 1
        FROM tree CROSS JOIN LATERAL (
            SELECT r.id, r.previous_response_id, r.model, CAST(r.status AS text) AS status
            FROM responses r
            WHERE r.project_id = :project_id AND r.previous_response_id = tree.id AND r.store
            OFFSET 0
        ) later
        WHERE tree.age < :max_turns
    )
    SELECT id, previous_response_id, model, status FROM tree LIMIT :max_turns
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One response in a tree."""

    id: UUID
    previous_response_id: UUID | None
    model: str
    status: ResponseStatus


class Chains:
    """Data access of trees of turns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def around(self, project_id: str, response_id: UUID) -> Sequence[Turn]:
        """Return the tree that a stored response is in, earlier turns first; empty if unknown."""
        values = {"project_id": project_id, "id": response_id, "max_before": MAX_BEFORE}
        with self._database.statement(project_id) as connection:
            first = connection.execute(_FIRST, values).scalar()
        return [] if first is None else self.tree(project_id, first)

    def tree(self, project_id: str, first_id: UUID) -> Sequence[Turn]:
        """Return a stored response and all that follow on it, earlier turns first."""
        values = {"project_id": project_id, "id": first_id, "max_turns": MAX_TURNS}
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_TREE, values).all()
        return [Turn(**{**row._mapping, "status": ResponseStatus(row.status)}) for row in rows]
