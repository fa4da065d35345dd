"""Projects: their encryption keys and the sizes of their queues."""

from sqlalchemy import text

from models.database.connection import Database
from models.encryption.cipher import new_encryption_key
from models.encryption.vault import owner_of_project

# The first caller sets the key; all others get that one.
_ENCRYPTION_KEY = text("""
    UPDATE projects SET sealing_key = coalesce(sealing_key, :fresh)
    WHERE project_id = :project_id RETURNING sealing_key
""")


# Counted in the partial index of queued rows.
_NUM_QUEUED = text("""
    SELECT project_id, background, count(*) AS num FROM responses
    WHERE project_id IS NOT NULL AND status = 'queued' GROUP BY project_id, background
""")


class Projects:
    """Data access of projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def encryption_key(self, project_id: str) -> str:
        """Return the key of the project's `encrypted_content`; created at the first call."""
        vault, owner = self._database.vault, owner_of_project(project_id)
        fresh = vault.encrypt(owner, new_encryption_key())
        values = {"project_id": project_id, "fresh": fresh}
        with self._database.statement(project_id) as connection:
            return vault.decrypt(owner, connection.execute(_ENCRYPTION_KEY, values).scalar_one())

    def num_queued(self) -> dict[tuple[str, bool], int]:
        """Return the number of queued responses, if any, by project and `background`."""
        with self._database.management() as connection:
            rows = connection.execute(_NUM_QUEUED)
            return {(row.project_id, row.background): row.num for row in rows}
