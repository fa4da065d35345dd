"""Webhook endpoints: create, read, update, delete, rotate secrets."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from models.database.connection import Database
from models.encryption.vault import SecretVault, VaultError, owner_of_endpoint

logger = logging.getLogger(__name__)

MAX_ENDPOINTS = 20
"""Maximum number of endpoints per project: every response that ends writes a row for each."""
OLD_SECRET_S = 24 * 3600
"""Seconds that deliveries are also signed with the old secret, if requested at rotation."""

_COLUMNS = """
    id, project_id, name, url, event_types, signing_secret, disabled_at, failing_since,
    created_at, updated_at,
    CASE WHEN old_secret_until > now() THEN old_secret END AS old_secret
"""

# The project's row is locked, so that concurrent requests cannot exceed the maximum.
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

# An update resets the failure state: the URL may be new, or the owner may have fixed it.
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
class EndpointRecord:
    """One row of `webhook_endpoints`."""

    id: UUID
    project_id: str
    name: str
    url: str
    event_types: list[str]
    signing_secret: str
    old_secret: str | None
    """Previous secret; None once it has expired."""
    disabled_at: datetime | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def secrets(self) -> list[str]:
        """Secrets that deliveries are signed with, newest first."""
        return [self.signing_secret, *([self.old_secret] if self.old_secret else [])]


class Webhooks:
    """Data access of webhook endpoints for the API."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        project_id: str,
        endpoint_id: UUID,
        secret: str,
        fields: dict[str, Any],
        *,
        max_endpoints: int = MAX_ENDPOINTS,
    ) -> EndpointRecord | None:
        """Store an endpoint; return None if the project already has `max_endpoints`."""
        stored = self._encrypt(endpoint_id, secret)
        values = {**fields, "id": endpoint_id, "signing_secret": stored, "max": max_endpoints}
        return self._execute(_CREATE, project_id, values)

    def get(self, project_id: str, endpoint_id: UUID) -> EndpointRecord | None:
        """Return the endpoint; None if unknown or of another project."""
        return self._execute(_GET, project_id, {"id": endpoint_id})

    def list_endpoints(
        self, project_id: str, *, after: UUID | None, limit: int
    ) -> Sequence[EndpointRecord]:
        """Return the project's endpoints, newest first."""
        with self._database.search(project_id) as connection:
            values = {"project_id": project_id, "after": after, "limit": limit}
            return [self._to_record(row) for row in connection.execute(_LIST, values)]

    def update(
        self, project_id: str, endpoint_id: UUID, changes: dict[str, Any]
    ) -> EndpointRecord | None:
        """Update the given ones of `name`, `url`, `event_types` and `enabled`; None if unknown."""
        unchanged = dict.fromkeys(("name", "url", "event_types", "enabled"))
        return self._execute(_UPDATE, project_id, {**unchanged, **changes, "id": endpoint_id})

    def rotate_secret(
        self, project_id: str, endpoint_id: UUID, secret: str, *, keep_old: bool
    ) -> EndpointRecord | None:
        """Replace the signing secret; if `keep_old`, the old one is also used for 24 hours."""
        old_secret_s = OLD_SECRET_S if keep_old else 0
        stored = self._encrypt(endpoint_id, secret)
        values = {"id": endpoint_id, "signing_secret": stored, "old_secret_s": old_secret_s}
        return self._execute(_ROTATE, project_id, values)

    def delete(self, project_id: str, endpoint_id: UUID) -> bool:
        """Delete an endpoint with its deliveries; False if unknown or of another project."""
        with self._database.statement(project_id) as connection:
            values = {"project_id": project_id, "id": endpoint_id}
            return connection.execute(_DELETE, values).first() is not None

    def _execute(
        self, statement: Any, project_id: str, values: dict[str, Any]
    ) -> EndpointRecord | None:
        with self._database.statement(project_id) as connection:
            row = connection.execute(statement, {**values, "project_id": project_id}).first()
        return self._to_record(row) if row else None

    def _encrypt(self, endpoint_id: UUID, secret: str) -> str:
        return self._database.vault.encrypt(owner_of_endpoint(endpoint_id), secret)

    def _to_record(self, row: Row[Any]) -> EndpointRecord:
        return EndpointRecord(**decrypt_secrets(self._database.vault, row.id, dict(row._mapping)))


def decrypt_secrets(
    vault: SecretVault, endpoint_id: UUID, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a row with `signing_secret` and `old_secret` decrypted.

    A secret that cannot be decrypted is empty: its endpoint alone has to rotate it.
    """
    owner = owner_of_endpoint(endpoint_id)
    decrypted = {}
    for name in ("signing_secret", "old_secret"):
        try:
            decrypted[name] = fields[name] and vault.decrypt(owner, fields[name])
        except VaultError as error:
            logger.warning("secret not read", extra={"id": endpoint_id.hex, "error": str(error)})
            decrypted[name] = ""
    return {**fields, **decrypted}
