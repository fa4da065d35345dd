"""Sizes of projects, of those for which they are limited."""

from datetime import UTC, datetime

from sqlalchemy import text

from models.database.connection import Database

_LIMITED = text("""
    SELECT project_id FROM projects WHERE limits ->> 'max_stored_bytes' IS NOT NULL
""")

# Sizes as they are stored, compressed; values that are stored apart are not read.
_MEASURE = text("""
    SELECT CAST(
        coalesce((SELECT sum(pg_column_size(body)) FROM items
                  WHERE project_id = :project_id), 0)
      + coalesce((SELECT sum(pg_column_size(body)) FROM conversation_items
                  WHERE project_id = :project_id), 0)
      + coalesce((SELECT sum(octet_length(a.data)) FROM responses r
                  JOIN event_archives a ON a.project_id = r.project_id AND a.response_id = r.id
                  WHERE r.project_id = :project_id), 0) AS bigint)
""")

_NOTE = text("""
    UPDATE projects SET stored_bytes = :stored_bytes, stored_measured_at = :measured_at
    WHERE project_id = :project_id
""")


class Sizes:
    """Measurement of what projects store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def limited(self) -> list[str]:
        """Return the ids of the projects whose size is limited."""
        with self._database.management() as connection:
            return list(connection.execute(_LIMITED).scalars())

    def measure(self, project_id: str) -> int:
        """Measure a project, and note its size for the API."""
        began_at = datetime.now(UTC)
        with self._database.statement(project_id) as connection:
            size = int(connection.execute(_MEASURE, {"project_id": project_id}).scalar_one())
        values = {"project_id": project_id, "stored_bytes": size, "measured_at": began_at}
        with self._database.statement(project_id) as connection:
            connection.execute(_NOTE, values)
        return size
