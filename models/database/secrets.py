"""Rotation of the secret file's keys: everything stored is encrypted under the first of them.

Each value is replaced only if it is still the one that was read, so that the server goes on working
meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from models.database.connection import Database
from models.encryption.vault import (
    SecretVault,
    VaultError,
    owner_of_endpoint,
    owner_of_project,
    owner_of_response,
    owner_of_tools,
)

_ENDPOINTS = """
    SELECT project_id, id, {column} AS stored FROM webhook_endpoints
    WHERE project_id IS NOT NULL AND {column} IS NOT NULL
"""
_SET_ENDPOINT = """
    UPDATE webhook_endpoints SET {column} = :fresh
    WHERE project_id = :project_id AND id = :id AND {column} = :stored
"""
_PROJECTS = text(
    "SELECT project_id, project_id AS id, sealing_key AS stored FROM projects"
    " WHERE sealing_key IS NOT NULL"
)
_SET_PROJECT = text("""
    UPDATE projects SET sealing_key = :fresh
    WHERE project_id = :project_id AND project_id = :id AND sealing_key = :stored
""")

# Found in the partial indexes of unstored and of unfinished rows.
_CONTENT_KEYS = text("""
    SELECT project_id, id, content_key AS stored FROM responses
    WHERE project_id IS NOT NULL AND NOT store AND content_key IS NOT NULL
""")
_TOOLS = text("""
    SELECT project_id, id, tool_secrets AS stored FROM responses
    WHERE project_id IS NOT NULL AND status IN ('queued', 'in_progress')
      AND tool_secrets IS NOT NULL
""")
_SET_RESPONSE = """
    UPDATE responses SET {column} = :fresh
    WHERE project_id = :project_id AND id = :id AND {column} = :stored
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """Column with secrets: its statements, and the owner of the secret of a row."""

    select: TextClause
    update: TextClause
    owner: Callable[[Any], str]


def _endpoint_column(column: str) -> _Column:
    return _Column(
        select=text(_ENDPOINTS.format(column=column)),
        update=text(_SET_ENDPOINT.format(column=column)),
        owner=owner_of_endpoint,
    )


def _response_column(column: str, select: TextClause, owner: Callable[[UUID], str]) -> _Column:
    update = text(_SET_RESPONSE.format(column=column))
    return _Column(select=select, update=update, owner=owner)


_COLUMNS = (
    _endpoint_column("signing_secret"),
    _endpoint_column("old_secret"),
    _Column(select=_PROJECTS, update=_SET_PROJECT, owner=owner_of_project),
    _response_column("content_key", _CONTENT_KEYS, owner_of_response),
    _response_column("tool_secrets", _TOOLS, owner_of_tools),
)


@dataclass(slots=True, kw_only=True)
class Rotation:
    """Number of values that were encrypted anew, and of those that no key of the file decrypts."""

    num_changed: int = 0
    num_unreadable: int = 0


class Secrets:
    """All stored secrets, for the migration and the rotation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rotate(self) -> Rotation:
        """Encrypt under the first key what is in the clear, or encrypted under another key.

        Nothing changes without a secret file. Raises `UpkeepRefusedError` if the role does not see
        the secrets of all projects.
        """
        self._database.check_upkeep()
        rotation = Rotation()
        if self._database.vault.key is not None:
            for column in _COLUMNS:
                self._rotate(column, rotation)
        return rotation

    def _rotate(self, column: _Column, rotation: Rotation) -> None:
        with self._database.upkeep() as connection:
            rows = connection.execute(column.select).all()
        for row in rows:
            owner = column.owner(row.id)
            fresh = _encrypt_anew(self._database.vault, owner, row.stored, rotation)
            if fresh is not None:
                values = {"project_id": row.project_id, "id": row.id, "stored": row.stored}
                with self._database.statement(row.project_id) as connection:
                    result = connection.execute(column.update, {**values, "fresh": fresh})
                    rotation.num_changed += result.rowcount


def _encrypt_anew(
    vault: SecretVault, owner: str, stored: str | bytes, rotation: Rotation
) -> str | bytes | None:
    """Return a stored secret encrypted under the first key; None if it is, or cannot be read."""
    text_stored = stored if isinstance(stored, str) else stored.decode()
    if vault.is_current(owner, text_stored):
        return None
    try:
        fresh = vault.encrypt(owner, vault.decrypt(owner, text_stored))
    except VaultError:
        rotation.num_unreadable += 1
        return None
    return fresh if isinstance(stored, str) else fresh.encode()
