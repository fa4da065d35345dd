"""Progress of one response as operators see it: attempts, workers and times."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.ids import time_of_id

_PROGRESS = text("""
    SELECT r.id, r.started_at, r.finished_at, r.attempt, r.num_crashes, r.isolated,
           r.not_before, r.cancel_requested, r.worker_id, w.name AS worker_name
    FROM responses r LEFT JOIN workers w ON w.id = r.worker_id
    WHERE r.project_id = :project_id AND r.id = :id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Attempts and times of a response."""

    id: UUID
    started_at: datetime | None
    """Time of its first claim."""
    finished_at: datetime | None
    attempt: int
    num_crashes: int
    isolated: bool
    not_before: datetime | None
    """Time before which it is not claimed; None if it could be at once."""
    cancel_requested: bool
    worker_id: UUID | None
    worker_name: str | None
    """Name of its worker, if that still runs."""

    @property
    def queued_s(self) -> float | None:
        """Seconds from its acceptance, or `not_before`, to its first claim; None until then."""
        if self.started_at is None:
            return None
        accepted_at = time_of_id(self.id)
        since = max(accepted_at, self.not_before or accepted_at)
        return max((self.started_at - since).total_seconds(), 0.0)

    @property
    def running_s(self) -> float | None:
        """Seconds from its first claim to its end; None if it has not both."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max((self.finished_at - self.started_at).total_seconds(), 0.0)


class ProgressReader:
    """Data access of the progress of responses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, project_id: str, response_id: UUID) -> Progress | None:
        """Return the progress of a response; None if it is unknown."""
        values = {"project_id": project_id, "id": response_id}
        with self._database.statement(project_id) as connection:
            row = connection.execute(_PROGRESS, values).first()
        return Progress(**row._mapping) if row else None
