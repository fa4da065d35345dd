"""Encryption of secrets that earlier versions, or processes without a secret file, have stored."""

from typing import Any

from sqlalchemy import TextClause, text

from models.database.connection import Database
from models.encryption.vault import owner_of_endpoint, owner_of_project

_ENDPOINTS = text("SELECT project_id, id, signing_secret, old_secret FROM webhook_endpoints")
_SET_ENDPOINT = text("""
    UPDATE webhook_endpoints SET signing_secret = :signing_secret, old_secret = :old_secret
    WHERE project_id = :project_id AND id = :id AND signing_secret = :before
""")
_PROJECTS = text("SELECT project_id, sealing_key FROM projects WHERE sealing_key IS NOT NULL")
_SET_PROJECT = text("""
    UPDATE projects SET sealing_key = :sealing_key
    WHERE project_id = :project_id AND sealing_key = :before
""")


class Secrets:
    """All stored secrets, for the migration."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def encrypt_all(self) -> int:
        """Encrypt the secrets that are stored in the clear; return the number of changed rows.

        Nothing changes without a secret file.
        """
        if self._database.vault.key is None:
            return 0
        return self._encrypt_endpoints() + self._encrypt_projects()

    def _encrypt_endpoints(self) -> int:
        vault, num_changed = self._database.vault, 0
        with self._database.upkeep() as connection:
            endpoints = connection.execute(_ENDPOINTS).all()
        for row in endpoints:
            owner = owner_of_endpoint(row.id)
            secrets = {"signing_secret": row.signing_secret, "old_secret": row.old_secret}
            stored = {
                name: vault.encrypt(owner, secret)
                if secret and not vault.is_encrypted(secret)
                else secret
                for name, secret in secrets.items()
            }
            if stored != secrets:
                key = {"project_id": row.project_id, "id": row.id, "before": row.signing_secret}
                num_changed += self._change(_SET_ENDPOINT, stored | key)
        return num_changed

    def _encrypt_projects(self) -> int:
        vault, num_changed = self._database.vault, 0
        with self._database.upkeep() as connection:
            projects = connection.execute(_PROJECTS).all()
        for project_id, key in projects:
            if not vault.is_encrypted(key):
                stored = vault.encrypt(owner_of_project(project_id), key)
                values = {"project_id": project_id, "sealing_key": stored, "before": key}
                num_changed += self._change(_SET_PROJECT, values)
        return num_changed

    def _change(self, statement: TextClause, values: dict[str, Any]) -> int:
        with self._database.statement(values["project_id"]) as connection:
            return connection.execute(statement, values).rowcount
