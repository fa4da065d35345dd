"""Projects: read, their encryption keys and the sizes of their queues."""

from typing import Any

from sqlalchemy import Row, text

from models.access.projects import ProjectLimits, ProjectPermissions, ProjectRecord
from models.database.connection import Database
from models.encryption.cipher import new_encryption_key
from models.encryption.vault import owner_of_project

# The first caller sets the key; all others get that one.
_ENCRYPTION_KEY = text("""
    UPDATE projects SET sealing_key = coalesce(sealing_key, :fresh)
    WHERE project_id = :project_id RETURNING sealing_key
""")

PROJECT_COLUMNS = """
    project_id, name, limits, permissions, allowed_models, retention_days, created_at, deleted_at,
    erased_at, stored_bytes, stored_measured_at, weight
"""

_GET = text(f"SELECT {PROJECT_COLUMNS} FROM projects WHERE project_id = :project_id")

# A function of the migrations: the API's role sees the rows of one project at a time.
_NUM_QUEUED = text("SELECT project, background, num FROM queue_sizes()")


class Projects:
    """Data access of projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, project_id: str) -> ProjectRecord | None:
        """Return a project, also one that is being deleted; None if it is unknown."""
        with self._database.statement(project_id) as connection:
            row = connection.execute(_GET, {"project_id": project_id}).first()
        return to_project(row) if row else None

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
            return {(row.project, row.background): row.num for row in rows}


def to_project(row: Row[Any]) -> ProjectRecord:
    """Return the record of a row."""
    return ProjectRecord(
        project_id=row.project_id,
        name=row.name,
        limits=ProjectLimits.model_validate(row.limits),
        permissions=ProjectPermissions.model_validate(row.permissions),
        allowed_models=None if row.allowed_models is None else tuple(row.allowed_models),
        retention_days=row.retention_days,
        weight=row.weight,
        stored_bytes=row.stored_bytes or 0,
        stored_measured_at=row.stored_measured_at,
        created_at=row.created_at,
        deleted_at=row.deleted_at,
        erased_at=row.erased_at,
    )
