"""Checkpoints: what running responses have generated, all of a worker's in one UPDATE."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.responses.record import ResponseRecord

_WRITE = text("""
    UPDATE responses r SET checkpoint = mine.checkpoint
    FROM unnest(CAST(:ids AS uuid[]), CAST(:project_ids AS text[]), CAST(:attempts AS int[]),
                CAST(:checkpoints AS bytea[])) AS mine (id, project_id, attempt, checkpoint)
    WHERE r.project_id = mine.project_id AND r.id = mine.id AND r.attempt = mine.attempt
      AND r.status = 'in_progress' AND r.store
    RETURNING r.id
""")


class Checkpoints:
    """The column that a later attempt goes on from when the log is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, reached: Sequence[ResponseRecord]) -> set[UUID]:
        """Note each one's checkpoint; the ids of those whose attempt still counts.

        What is not to be stored is passed over: its tokens are content.
        """
        checkpoints = [row.checkpoint.to_bytes() for row in reached if row.checkpoint]
        assert len(checkpoints) == len(reached)
        values = {
            "ids": [row.id for row in reached],
            "project_ids": [row.project_id for row in reached],
            "attempts": [row.attempt for row in reached],
            "checkpoints": checkpoints,
        }
        with self._database.statement() as connection:
            return set(connection.execute(_WRITE, values).scalars())
