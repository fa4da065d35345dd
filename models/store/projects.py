"""Projects, and the keys that are theirs."""

from sqlalchemy import text

from models.database.connection import Database
from models.encryption.cipher import new_encryption_key

# Whoever comes first gives the project its key; all others are given that one.
_SEALING_KEY = text("""
    UPDATE projects SET sealing_key = coalesce(sealing_key, :fresh)
    WHERE project_id = :project_id RETURNING sealing_key
""")


class Projects:
    """The table of who owns responses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sealing_key(self, project_id: str) -> str:
        """The key that seals what the project's clients carry; made when first asked for."""
        values = {"project_id": project_id, "fresh": new_encryption_key()}
        with self._database.statement() as connection:
            return str(connection.execute(_SEALING_KEY, values).scalar_one())
