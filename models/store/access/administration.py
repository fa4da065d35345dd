"""Administration of projects: create, list, change, and begin to delete."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import text

from models.access.projects import ProjectRecord
from models.database.connection import Database
from models.store.access.projects import PROJECT_COLUMNS, to_project
from models.tables.project import DEFAULT_PROJECT

_CREATE = text(f"""
    INSERT INTO projects (project_id, name, limits, permissions, allowed_models, retention_days,
                          weight)
    VALUES (:project_id, :name, CAST(:limits AS json), CAST(:permissions AS json),
            CAST(:allowed_models AS text[]), CAST(:retention_days AS float),
            coalesce(CAST(:weight AS float), 1))
    ON CONFLICT DO NOTHING
    RETURNING {PROJECT_COLUMNS}
""")

_GET = text(f"SELECT {PROJECT_COLUMNS} FROM projects WHERE project_id = :project_id")

_LIST = text(f"""
    SELECT {PROJECT_COLUMNS} FROM projects WHERE erased_at IS NULL ORDER BY created_at, project_id
""")

_RETENTION = text("""
    SELECT project_id, retention_days FROM projects
    WHERE retention_days IS NOT NULL AND deleted_at IS NULL
""")

# Limits and permissions that are not named stay; one that is null is the server's again.
_UPDATE = text(f"""
    UPDATE projects SET
        name = coalesce(CAST(:name AS text), name),
        limits = CAST(jsonb_strip_nulls(
            CAST(limits AS jsonb) || CAST(:limits AS jsonb)) AS json),
        permissions = CAST(jsonb_strip_nulls(
            CAST(permissions AS jsonb) || CAST(:permissions AS jsonb)) AS json),
        allowed_models = CASE WHEN :sets_models THEN CAST(:allowed_models AS text[])
                              ELSE allowed_models END,
        retention_days = CASE WHEN :sets_retention THEN CAST(:retention_days AS float)
                              ELSE retention_days END,
        weight = CASE WHEN :sets_weight THEN coalesce(CAST(:weight AS float), 1) ELSE weight END
    WHERE project_id = :project_id AND deleted_at IS NULL
    RETURNING {PROJECT_COLUMNS}
""")

_BEGIN_DELETION = text(f"""
    WITH marked AS (
        UPDATE projects SET deleted_at = coalesce(deleted_at, now())
        WHERE project_id = :project_id AND project_id <> '{DEFAULT_PROJECT}'
        RETURNING *
    ), revoked AS (
        UPDATE api_keys SET revoked_at = now()
        WHERE revoked_at IS NULL AND project_id IN (SELECT project_id FROM marked)
    )
    SELECT {PROJECT_COLUMNS} FROM marked
""")


class ProjectAdministration:
    """Data access of projects for their operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, project_id: str, fields: Mapping[str, Any]) -> ProjectRecord | None:
        """Create a project with the `fields` of `update`; None if its id is or was another's."""
        return self._execute(_CREATE, project_id, {"name": "", **fields})

    def get(self, project_id: str) -> ProjectRecord | None:
        """Return a project, also one that is deleted; None if it is unknown."""
        with self._database.management() as connection:
            row = connection.execute(_GET, {"project_id": project_id}).first()
        return to_project(row) if row else None

    def list_projects(self) -> Sequence[ProjectRecord]:
        """Return all projects of which something is left, oldest first."""
        with self._database.management() as connection:
            return [to_project(row) for row in connection.execute(_LIST)]

    def retention_days(self) -> dict[str, float]:
        """Return the days of retention of the projects that have their own."""
        with self._database.management() as connection:
            rows = connection.execute(_RETENTION)
            return {row.project_id: row.retention_days for row in rows}

    def update(self, project_id: str, changes: Mapping[str, Any]) -> ProjectRecord | None:
        """Change the fields that are given; None if there is no such project.

        They are those of a `ProjectRecord`; of `limits` and `permissions`, the given ones change.
        """
        more = {
            "sets_models": "allowed_models" in changes,
            "sets_retention": "retention_days" in changes,
            "sets_weight": "weight" in changes,
        }
        return self._execute(_UPDATE, project_id, changes, more)

    def begin_deletion(self, project_id: str) -> ProjectRecord | None:
        """Mark a project for deletion and revoke its keys; None if it is unknown, or the default.

        One that is being deleted, or is deleted, stays as it is.
        """
        with self._database.management() as connection:
            row = connection.execute(_BEGIN_DELETION, {"project_id": project_id}).first()
        return to_project(row) if row else None

    def _execute(
        self,
        statement: Any,
        project_id: str,
        fields: Mapping[str, Any],
        more: Mapping[str, Any] = {},
    ) -> ProjectRecord | None:
        values = {
            "project_id": project_id,
            "name": fields.get("name"),
            "limits": orjson.dumps(fields.get("limits") or {}).decode(),
            "permissions": orjson.dumps(fields.get("permissions") or {}).decode(),
            "allowed_models": fields.get("allowed_models"),
            "retention_days": fields.get("retention_days"),
            "weight": fields.get("weight"),
            **more,
        }
        with self._database.management() as connection:
            row = connection.execute(statement, values).first()
        return to_project(row) if row else None
