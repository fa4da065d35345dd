"""Projects and their encryption keys."""

from sqlalchemy import text

from models.database.connection import Database
from models.encryption.cipher import new_encryption_key

# The first caller sets the key; all others get that one.
_ENCRYPTION_KEY = text("""
    UPDATE projects SET sealing_key = coalesce(sealing_key, :fresh)
    WHERE project_id = :project_id RETURNING sealing_key
""")


class Projects:
    """Data access of projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def encryption_key(self, project_id: str) -> str:
        """Return the key of the project's `encrypted_content`; created at the first call."""
        values = {"project_id": project_id, "fresh": new_encryption_key()}
        with self._database.statement() as connection:
            return str(connection.execute(_ENCRYPTION_KEY, values).scalar_one())
