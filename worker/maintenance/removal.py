"""Removal of deleted projects: everything that is theirs, in Postgres and in Redis.

Each pass begins with what it finds, so that it goes on where a process was killed. A project counts
as erased once nothing of it has been found for a while: requests that were let in before its keys
stopped, and workers that ran its responses, have ended by then.
"""

import logging
import threading
import time
from collections.abc import Sequence
from uuid import UUID

from models.outages import OUTAGES, OutageLog
from models.settings import Settings
from models.store.access.audit import AuditEntryRecord
from models.store.access.removal import FoundResponse, PendingRemoval, removed_tables
from models.store.store import Store
from models.streams.cancel_channel import publish_cancel
from models.streams.connection import connect
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tables import Project
from worker.maintenance.orphaned_logs import forget_orphaned_logs

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
"""Seconds between two looks at the projects to remove."""
BATCH = 200
"""Rows that are deleted at a time."""
PAUSE_RATIO = 3.0
"""Pause after a batch, as a multiple of its duration."""
SETTLE_S = 15.0
"""Seconds without a find after which a project is erased.

Longer than a key is cached for, than a worker takes to notice a cancel, and than a lease.
"""


class ProjectRemoval:
    """Loop of removals; any number of processes may run it concurrently."""

    def __init__(
        self,
        settings: Settings,
        *,
        interval_s: float = INTERVAL_S,
        settle_s: float = SETTLE_S,
        batch: int = BATCH,
    ) -> None:
        """Open the connections."""
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=1,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
        self._client = connect(settings.redis_url, max_connections=1)
        self._log = EventLog(self._client)
        self._unstored = UnstoredContents(self._client)
        self._tables = removed_tables(Project.metadata)
        self._interval_s = interval_s
        self._settle_s = settle_s
        self._batch = batch
        self._found_at: dict[str, float] = {}
        """Time at which something of a project was last found, by the monotonic clock."""
        self._stopping = threading.Event()
        self._outages = OutageLog(logger, "projects not removed")

    def run(self, stopping: threading.Event) -> None:
        """Remove projects until `stopping` is set."""
        self._stopping = stopping
        while not stopping.wait(self._interval_s):
            try:
                self.remove_all()
            except OUTAGES as error:
                self._outages.failed(error)
            else:
                self._outages.succeeded()

    def close(self) -> None:
        """Close every connection."""
        self._store.close()
        self._client.close()

    def remove_all(self) -> None:
        """Go over every project to remove once."""
        pending = self._store.removals.pending()
        for removal in pending:
            self._remove(removal)
        known = {removal.project_id for removal in pending}
        self._found_at = {id_: at for id_, at in self._found_at.items() if id_ in known}

    def _remove(self, removal: PendingRemoval) -> None:
        project_id = removal.project_id
        self._found_at.setdefault(project_id, time.monotonic())
        while not self._stopping.is_set() and self._remove_batch(project_id):
            self._found_at[project_id] = time.monotonic()
        is_settled = time.monotonic() - self._found_at[project_id] >= self._settle_s
        if is_settled and removal.erased_at is None and not self._stopping.is_set():
            self._finish(project_id)

    def _remove_batch(self, project_id: str) -> bool:
        """Remove some of a project, and pause; return False if there was nothing."""
        started_at = time.monotonic()
        removals = self._store.removals
        found = removals.next_responses(project_id, limit=self._batch)
        if found:
            self._remove_responses(project_id, found)
        is_done = not found and not removals.delete_rows(
            project_id, self._tables, limit=self._batch
        )
        if not is_done:
            self._stopping.wait(PAUSE_RATIO * (time.monotonic() - started_at))
        return not is_done

    def _remove_responses(self, project_id: str, found: Sequence[FoundResponse]) -> None:
        """Stop responses, and delete them from both stores: from Redis also what was added since.

        Their rows go last, so that a process that is killed leaves nothing that is not found again.
        """
        ids = [response.id for response in found]
        for response in found:
            if response.is_running:
                self._store.claims.request_cancel(project_id, response.id)
                publish_cancel(self._client, response.id)
        self._forget(ids)
        self._store.removals.delete_responses(project_id, ids)
        self._forget(ids)
        for response_id in ids:
            self._log.wake_readers(response_id)

    def _forget(self, ids: list[UUID]) -> None:
        self._log.forget(ids)
        self._unstored.forget(*ids)

    def _finish(self, project_id: str) -> None:
        forget_orphaned_logs(self._store, self._log)
        if self._store.removals.finish(project_id):
            entry = AuditEntryRecord(
                project_id=project_id, action="project.erase", object=project_id, result="ok"
            )
            self._store.audit.add(entry)
            logger.info("project erased", extra={"project_id": project_id})
