"""What an attempt leaves for later ones: checkpoints, and the number of calls it has begun.

The checkpoints of all responses of a worker are written in one UPDATE.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.store.rows import stored_checkpoint

_WRITE = text("""
    UPDATE responses r SET checkpoint = mine.checkpoint
    FROM unnest(CAST(:ids AS uuid[]), CAST(:project_ids AS text[]), CAST(:attempts AS int[]),
                CAST(:checkpoints AS bytea[])) AS mine (id, project_id, attempt, checkpoint)
    WHERE r.project_id = mine.project_id AND r.id = mine.id AND r.attempt = mine.attempt
      AND r.status = 'in_progress' AND r.store
    RETURNING r.id
""")

# A call that begins is progress: the response does not crash its workers one after the other.
_BEGIN_CALL = text("""
    UPDATE responses SET calls_begun = greatest(calls_begun, :number), num_crashes = 0
    WHERE project_id = :project_id AND id = :id AND attempt = :attempt
      AND status = 'in_progress'
    RETURNING id
""")


class Checkpoints:
    """Store of checkpoints, from which a later attempt resumes if the event log is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, records: Sequence[ResponseRecord]) -> set[UUID]:
        """Write the checkpoint of each record; return the ids whose attempt is still current.

        Responses with `store: false` are skipped, since the tokens in a checkpoint are content.
        """
        values = {
            "ids": [record.id for record in records],
            "project_ids": [record.project_id for record in records],
            "attempts": [record.attempt for record in records],
            "checkpoints": [stored_checkpoint(record) for record in records],
        }
        with self._database.upkeep() as connection:
            return set(connection.execute(_WRITE, values).scalars())

    def begin_call(self, record: ResponseRecord, number: int) -> bool:
        """Note that a response's MCP call of this number, from 1, may have been made from now on.

        Return False if the attempt is stale, so that it must not be made.
        """
        values = {
            "project_id": record.project_id,
            "id": record.id,
            "attempt": record.attempt,
            "number": number,
        }
        with self._database.statement(record.project_id) as connection:
            return connection.execute(_BEGIN_CALL, values).first() is not None
