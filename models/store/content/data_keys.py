"""Data keys of projects, in their rows: created when content is first encrypted, and cached."""

import logging
import threading

from cachetools import TTLCache
from sqlalchemy import text

from models.database.connection import Database
from models.encryption.content_keys import ContentKeyError, ContentKeyring, DataKey
from models.errors import ContentLockedError

logger = logging.getLogger(__name__)

_MAX_CACHED = 10_000
_CACHED_S = 60.0
"""Seconds for which a process still knows a key that was erased."""

_GET = text("SELECT data_key FROM projects WHERE project_id = :project_id")

# The first caller sets the key; all others get that one.
_CREATE = text("""
    UPDATE projects SET data_key = coalesce(data_key, :fresh)
    WHERE project_id = :project_id RETURNING data_key
""")

_ALL = text("SELECT project_id, data_key FROM projects WHERE data_key IS NOT NULL")
_SET = text("""
    UPDATE projects SET data_key = :fresh
    WHERE project_id = :project_id AND data_key = :stored
""")


class DataKeys:
    """Data access of the keys of projects' content."""

    def __init__(self, database: Database, keyring: ContentKeyring) -> None:
        self._database = database
        self._keyring = keyring
        self._lock = threading.Lock()
        self._cache: TTLCache[str, DataKey] = TTLCache(_MAX_CACHED, _CACHED_S)

    @property
    def encrypts(self) -> bool:
        """True if new content is encrypted."""
        return self._keyring.has_keys

    def of(self, project_id: str, *, is_new: bool = False) -> DataKey:
        """Return the key of a project, which is created if it `is_new`.

        Takes a connection unless the key is cached. Raises `ContentLockedError` if there is no key,
        or none in the file that decrypts it.
        """
        with self._lock:
            cached = self._cache.get(project_id)
        if cached is not None:
            return cached
        stored = self._create(project_id) if is_new else self._get(project_id)
        key = self._decrypt(project_id, stored)
        with self._lock:
            self._cache[project_id] = key
        return key

    def rotate(self) -> int:
        """Encrypt the data keys under the first key of the file; return the number of changed ones.

        Raises `ContentKeyError` if no key of the file decrypts one of them.
        """
        if not self.encrypts:
            return 0
        with self._database.management() as connection:
            rows = connection.execute(_ALL).all()
        num_changed = 0
        for project_id, stored in rows:
            if not self._keyring.is_current(stored):
                data_key = self._keyring.decrypt(project_id, stored)
                fresh = self._keyring.encrypt(project_id, data_key)
                values = {"project_id": project_id, "stored": stored, "fresh": fresh}
                with self._database.statement(project_id) as connection:
                    num_changed += connection.execute(_SET, values).rowcount
        return num_changed

    def check(self) -> None:
        """Raise `ContentKeyError` if no key of the file decrypts the data key of some project."""
        with self._database.management() as connection:
            rows = connection.execute(_ALL).all()
        for project_id, stored in rows:
            self._keyring.decrypt(project_id, stored)

    def _get(self, project_id: str) -> str | None:
        with self._database.statement(project_id) as connection:
            stored: str | None = connection.execute(_GET, {"project_id": project_id}).scalar()
        return stored

    def _create(self, project_id: str) -> str | None:
        fresh = self._keyring.encrypt(project_id, DataKey.new())
        values = {"project_id": project_id, "fresh": fresh}
        with self._database.statement(project_id) as connection:
            stored: str | None = connection.execute(_CREATE, values).scalar()
        return stored

    def _decrypt(self, project_id: str, stored: str | None) -> DataKey:
        if stored is None:  # erased
            raise ContentLockedError
        try:
            return self._keyring.decrypt(project_id, stored)
        except ContentKeyError as error:
            logger.warning("content not read", extra={"project": project_id, "error": str(error)})
            raise ContentLockedError from None
