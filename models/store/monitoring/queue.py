"""State of the queue over all projects."""

from dataclasses import dataclass

from sqlalchemy import text

from models.database.connection import Database

# A function of the migrations: the API's role sees the rows of one project at a time.
_STATES = text("SELECT model, status, priority, num, oldest_s FROM queue_states()")

_WORKERS = text("""
    SELECT model, count(*) AS num FROM workers
    WHERE project_id IS NOT NULL AND lease_until > now() GROUP BY model
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """Number of responses of one model, status and priority."""

    model: str
    status: str
    """`queued` or `in_progress`."""
    priority: int
    num: int
    oldest_s: float
    """Seconds since the oldest of them was accepted."""


class Queue:
    """Data access of the queue as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self) -> list[QueueState]:
        """Return the numbers of all responses that have not ended."""
        with self._database.management() as connection:
            return [QueueState(**row._mapping) for row in connection.execute(_STATES)]

    def num_workers(self) -> dict[str, int]:
        """Return the number of workers with a valid lease, by model."""
        with self._database.management() as connection:
            return {row.model: row.num for row in connection.execute(_WORKERS)}
