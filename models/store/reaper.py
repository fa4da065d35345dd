"""Statements of the maintenance loop: reclaim, count, expire."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy import TextClause, text

from models.database.connection import Database
from models.errors import ContentDamagedError, ContentLockedError
from models.ids import id_floor
from models.responses.record import ResponseRecord
from models.store.content.codec import ContentCodec
from models.store.fairness.places import LIMITED_PROJECTS
from models.store.rows import COLUMNS, to_record

MAX_CRASHES = 3
"""Number of lost workers after which a response fails."""

# Lost: in progress under a worker that left or whose lease has expired.
_LOST = """
    r.status = 'in_progress' AND NOT EXISTS (
        SELECT FROM workers w WHERE w.id = r.worker_id AND w.lease_until > now())
"""

_RECLAIM = text(f"""
    WITH lost AS (
        SELECT r.project_id, r.id, r.worker_id FROM responses r
        WHERE {_LOST} AND r.num_crashes + 1 < :max_crashes
        FOR UPDATE SKIP LOCKED LIMIT 500
    )
    UPDATE responses r
    SET status = 'queued', worker_id = NULL, num_crashes = r.num_crashes + 1,
        isolated = r.isolated OR r.num_crashes > 0
                   OR lost.worker_id = ANY(CAST(:suspects AS uuid[]))
    FROM lost WHERE r.project_id = lost.project_id AND r.id = lost.id
    RETURNING r.id
""")

_POISONOUS = text(f"""
    SELECT {COLUMNS} FROM responses r
    WHERE {_LOST} AND r.num_crashes + 1 >= :max_crashes LIMIT 100
""")

_FORGET_WORKERS = text("""
    DELETE FROM workers w WHERE w.lease_until < now() - interval '1 hour' AND NOT EXISTS (
        SELECT FROM responses r WHERE r.project_id IS NOT NULL AND r.worker_id = w.id
           AND r.status = 'in_progress')
""")

_QUEUED = text(f"""
    WITH {LIMITED_PROJECTS}, queued AS (
        SELECT model, project_id, count(*) AS num FROM responses
        WHERE project_id IS NOT NULL AND status = 'queued' AND NOT deferred
        GROUP BY model, project_id
    )
    SELECT q.model, CAST(sum(least(q.num, limited.num_free)) AS bigint) AS num
    FROM queued q LEFT JOIN limited ON limited.project_id = q.project_id
    GROUP BY q.model
""")

_HAVE_ENDED = text("""
    SELECT id, finished_at IS NOT NULL AS has_ended FROM responses
    WHERE project_id IS NOT NULL AND id = ANY(:ids)
""")

# Ids are ordered by time, so the primary key finds old rows.
_EXPIRE = text("""
    DELETE FROM responses WHERE (project_id, id) IN (
        SELECT project_id, id FROM responses
        WHERE id < :floor AND finished_at IS NOT NULL
        ORDER BY id LIMIT 500
    )
    RETURNING id
""")
_EXPIRE_OF_PROJECT = text("""
    DELETE FROM responses WHERE project_id = :project_id AND id IN (
        SELECT id FROM responses
        WHERE project_id = :project_id AND id < :floor AND finished_at IS NOT NULL
        ORDER BY id LIMIT 500
    )
    RETURNING id
""")
_EXPIRE_UNSTORED = text("""
    DELETE FROM responses WHERE (project_id, id) IN (
        SELECT project_id, id FROM responses
        WHERE NOT store AND finished_at IS NOT NULL
          AND finished_at < CASE WHEN background THEN CAST(:temporary_before AS timestamptz)
                                 ELSE CAST(:awaited_before AS timestamptz) END
        ORDER BY id LIMIT 500
    )
    RETURNING id
""")
_WAITING_UNSTORED = text(f"""
    SELECT {COLUMNS} FROM responses r
    WHERE r.project_id IS NOT NULL AND NOT r.store AND r.finished_at IS NULL
""")


class Reaper:
    """Statements over all projects, for the elected maintenance loop."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec

    def reclaim(self, suspects: Sequence[UUID] = ()) -> list[UUID]:
        """Put the responses of lost workers back into the queue; return their ids.

        Responses that have lost their second worker are isolated: they run alone from then on. So
        are those of the `suspects`: ids of workers that crashed and were not killed from outside.
        """
        values = {"max_crashes": MAX_CRASHES, "suspects": list(suspects)}
        with self._database.upkeep() as connection:
            return list(connection.execute(_RECLAIM, values).scalars())

    def poisonous(self) -> list[ResponseRecord]:
        """Return responses that have lost `MAX_CRASHES` workers and must fail.

        Without those whose content cannot be read: they wait for its key.
        """
        with self._database.upkeep() as connection:
            rows = connection.execute(_POISONOUS, {"max_crashes": MAX_CRASHES}).all()
        records = []
        for row in rows:
            with suppress(ContentLockedError, ContentDamagedError):
                records.append(to_record(row, self._database.vault, self._codec))
        return records

    def num_queued(self) -> dict[str, int]:
        """Return the number of queued responses of each model, of those that may run now."""
        with self._database.upkeep() as connection:
            return {row.model: row.num for row in connection.execute(_QUEUED)}

    def have_ended(self, response_ids: list[UUID]) -> dict[UUID, bool]:
        """Return, for each response that exists, True if it has ended."""
        with self._database.upkeep() as connection:
            rows = connection.execute(_HAVE_ENDED, {"ids": response_ids})
            return {row.id: row.has_ended for row in rows}

    def expire(self, *, created_before: datetime) -> list[UUID]:
        """Delete up to 500 finished responses with their items and events; return their ids."""
        return self._delete(_EXPIRE, floor=id_floor(created_before))

    def expire_of_project(self, project_id: str, *, created_before: datetime) -> list[UUID]:
        """Delete up to 500 finished responses of one project; return their ids."""
        values = {"project_id": project_id, "floor": id_floor(created_before)}
        with self._database.statement(project_id) as connection:
            return list(connection.execute(_EXPIRE_OF_PROJECT, values).scalars())

    def expire_unstored(
        self, *, awaited_before: datetime, temporary_before: datetime
    ) -> list[UUID]:
        """Delete up to 500 rows of `store: false` responses; return their ids.

        Those in the foreground must have ended before the first time, temporary ones before the
        second.
        """
        return self._delete(
            _EXPIRE_UNSTORED, awaited_before=awaited_before, temporary_before=temporary_before
        )

    def _delete(self, statement: TextClause, **values: object) -> list[UUID]:
        with self._database.upkeep() as connection:
            return list(connection.execute(statement, values).scalars())

    def waiting_unstored(self) -> list[ResponseRecord]:
        """Return the `store: false` responses that have not ended, in all projects."""
        with self._database.upkeep() as connection:
            rows = connection.execute(_WAITING_UNSTORED).all()
        return [to_record(row, self._database.vault, self._codec) for row in rows]

    def forget_workers(self) -> None:
        """Delete workers whose lease expired over an hour ago and that have no running response."""
        with self._database.upkeep() as connection:
            connection.execute(_FORGET_WORKERS)
