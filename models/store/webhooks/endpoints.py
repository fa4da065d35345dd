"""Webhook endpoints: create, read, change, delete, and what their deliveries have come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database

MAX_ENDPOINTS = 20
"""Endpoints of one project: every response that ends writes a row for each."""
OLD_SECRET_S = 24 * 3600
"""How long deliveries are signed with the old secret too, when that was asked for."""

_COLUMNS = """
    id, project_id, name, url, event_types, signing_secret, disabled_at, failing_since,
    created_at, updated_at,
    CASE WHEN old_secret_until > now() THEN old_secret END AS old_secret
"""

# The project's row is locked, so that two at a time cannot both be the last that is allowed.
_CREATE = text(f"""
    WITH owner AS (
        SELECT project_id FROM projects WHERE project_id = :project_id FOR NO KEY UPDATE
    )
    INSERT INTO webhook_endpoints (id, project_id, name, url, event_types, signing_secret)
    SELECT :id, project_id, :name, :url, CAST(:event_types AS text[]), :signing_secret FROM owner
    WHERE (SELECT count(*) FROM webhook_endpoints WHERE project_id = :project_id) < :max
    RETURNING {_COLUMNS}
""")

_GET = text(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints WHERE project_id = :project_id AND id = :id
""")

_LIST = text(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE project_id = :project_id AND (CAST(:after AS uuid) IS NULL OR id < :after)
    ORDER BY id DESC LIMIT :limit
""")

# A new address, or word of its owner that it is well, is reason to try at once.
_UPDATE = text(f"""
    UPDATE webhook_endpoints SET
        name = coalesce(CAST(:name AS text), name),
        url = coalesce(CAST(:url AS text), url),
        event_types = coalesce(CAST(:event_types AS text[]), event_types),
        disabled_at = CASE WHEN CAST(:enabled AS boolean) IS NULL THEN disabled_at
                           WHEN NOT :enabled THEN coalesce(disabled_at, now()) END,
        failing_since = NULL, next_probe_at = NULL,
        updated_at = now()
    WHERE project_id = :project_id AND id = :id
    RETURNING {_COLUMNS}
""")

_ROTATE = text(f"""
    UPDATE webhook_endpoints SET
        old_secret = CASE WHEN :old_secret_s > 0 THEN signing_secret END,
        old_secret_until = now() + :old_secret_s * interval '1 s',
        signing_secret = :signing_secret, updated_at = now()
    WHERE project_id = :project_id AND id = :id
    RETURNING {_COLUMNS}
""")

_DELETE = text("""
    WITH deleted AS (
        DELETE FROM webhook_endpoints WHERE project_id = :project_id AND id = :id RETURNING id
    ), forgotten AS (
        DELETE FROM webhook_deliveries d USING deleted
        WHERE d.project_id = :project_id AND d.endpoint_id = deleted.id
    )
    SELECT id FROM deleted
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndpoint:
    """One row of `webhook_endpoints`."""

    id: UUID
    project_id: str
    name: str
    url: str
    event_types: list[str]
    signing_secret: str
    old_secret: str | None
    """None once its time is up."""
    disabled_at: datetime | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def secrets(self) -> list[str]:
        """The secrets that deliveries are signed with, newest first."""
        return [self.signing_secret, *([self.old_secret] if self.old_secret else [])]


class Webhooks:
    """What the API reads and writes of webhook endpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, project_id: str, endpoint_id: UUID, secret: str, given: dict[str, Any]
    ) -> StoredEndpoint | None:
        """Store an endpoint; None if the project has as many as it may."""
        values = {**given, "id": endpoint_id, "signing_secret": secret, "max": MAX_ENDPOINTS}
        return self._one(_CREATE, project_id, values)

    def get(self, project_id: str, endpoint_id: UUID) -> StoredEndpoint | None:
        """The endpoint; None if unknown or foreign."""
        return self._one(_GET, project_id, {"id": endpoint_id})

    def list_endpoints(
        self, project_id: str, *, after: UUID | None, limit: int
    ) -> Sequence[StoredEndpoint]:
        """The project's endpoints, newest first."""
        with self._database.search() as connection:
            values = {"project_id": project_id, "after": after, "limit": limit}
            return [StoredEndpoint(**row._mapping) for row in connection.execute(_LIST, values)]

    def update(
        self, project_id: str, endpoint_id: UUID, changes: dict[str, Any]
    ) -> StoredEndpoint | None:
        """Change what is given of `name`, `url`, `event_types` and `enabled`."""
        unchanged = dict.fromkeys(("name", "url", "event_types", "enabled"))
        return self._one(_UPDATE, project_id, {**unchanged, **changes, "id": endpoint_id})

    def rotate_secret(
        self, project_id: str, endpoint_id: UUID, secret: str, *, keep_old: bool
    ) -> StoredEndpoint | None:
        """Sign with another secret from now on, and for a day with the old one too if asked."""
        old_secret_s = OLD_SECRET_S if keep_old else 0
        values = {"id": endpoint_id, "signing_secret": secret, "old_secret_s": old_secret_s}
        return self._one(_ROTATE, project_id, values)

    def delete(self, project_id: str, endpoint_id: UUID) -> bool:
        """Delete an endpoint with its deliveries; False if unknown or foreign."""
        with self._database.statement() as connection:
            values = {"project_id": project_id, "id": endpoint_id}
            return connection.execute(_DELETE, values).first() is not None

    def _one(
        self, statement: Any, project_id: str, values: dict[str, Any]
    ) -> StoredEndpoint | None:
        with self._database.statement() as connection:
            row = connection.execute(statement, {**values, "project_id": project_id}).first()
        return StoredEndpoint(**row._mapping) if row else None
