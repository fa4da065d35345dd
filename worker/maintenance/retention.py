"""Retention: deletes expired responses and creates the monthly partitions needed next.

It has a thread of its own: a sweep may take minutes, and the maintenance loop must not wait for it.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from models.limits.windows import Windows
from models.outages import OUTAGES, OutageLog
from models.recording.finalize import CONTENT_LOST, finalize_orphan
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import EventLog
from models.streams.unstored import QUEUED_TTL_S, UNSTORED_TTL_S, UnstoredContents
from worker.maintenance.orphaned_logs import forget_orphaned_logs

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
"""Seconds between two sweeps."""
LOGS_INTERVAL_S = 10.0
"""Seconds between two searches for orphaned event logs.

After an outage of Redis, the logs of responses deleted meanwhile stay no longer than this.
"""
UNSTORED = timedelta(seconds=UNSTORED_TTL_S)
"""Time after their end at which responses with `store: false` in the foreground are deleted."""
MEASURE_RATIO = 20.0
"""Pause between two measurements of all limited projects, as a multiple of the last one's time."""
PAUSE_RATIO = 3.0
"""Pause between two batches of deletes, as a multiple of the last one's duration."""


class Retention:
    """Loop of retention sweeps; any number of processes may run it concurrently."""

    def __init__(
        self,
        settings: Settings,
        *,
        logs_interval_s: float = LOGS_INTERVAL_S,
        pause_ratio: float = PAUSE_RATIO,
    ) -> None:
        """Open the connections.

        Orphaned logs are searched for every `logs_interval_s` seconds. The pause between two
        batches of deletes is `pause_ratio` times as long as the last one took.
        """
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
        self._unstored = UnstoredContents(self._client, ended_ttl_s=settings.unstored_seconds)
        self._windows = Windows(self._client)
        self._retention = timedelta(days=settings.retention_days)
        self._audit_retention = timedelta(days=settings.audit_days)
        self._logs_interval_s = logs_interval_s
        self._pause_ratio = pause_ratio
        self._stopping = threading.Event()
        self._measure_from = 0.0
        self._outages = {
            step.__name__: OutageLog(logger, f"retention step {step.__name__} failed")
            for step in self._steps
        }

    def run(self, stopping: threading.Event) -> None:
        """Sweep until `stopping` is set, which also ends a sweep between two batches."""
        self._stopping = stopping
        next_sweep = 0.0
        while not stopping.is_set():
            if time.monotonic() < next_sweep:
                self._attempt(self._forget_logs)
            else:
                self.sweep()
                next_sweep = time.monotonic() + INTERVAL_S
            stopping.wait(self._logs_interval_s)

    def close(self) -> None:
        """Close every connection."""
        self._store.close()
        self._client.close()

    def sweep(self) -> None:
        """Run every step once; a step that fails is retried in the next sweep."""
        for step in self._steps:
            self._attempt(step)

    @property
    def _steps(self) -> tuple[Callable[[], None], ...]:
        return (
            self._drop_months,
            self._add_months,
            self._keep_waiting,
            self._expire,
            self._expire_sooner,
            self._expire_audit,
            self._forget_logs,
            self._tidy,
            self._measure,
        )

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OUTAGES as error:
            self._outages[step.__name__].failed(error)
        else:
            self._outages[step.__name__].succeeded()

    def _measure(self) -> None:
        """Measure the projects whose size is limited, unless that was done and took long."""
        began_at = time.monotonic()
        if began_at < self._measure_from:
            return
        for project_id in self._store.sizes.limited():
            self._store.sizes.measure(project_id)
            if self._stopping.is_set():
                return
        ended_at = time.monotonic()
        self._measure_from = ended_at + MEASURE_RATIO * (ended_at - began_at)

    def _add_months(self) -> None:
        if added := self._store.partitions.add(datetime.now(UTC)):
            logger.info("months added", extra={"months": added})

    def _drop_months(self) -> None:
        before = datetime.now(UTC) - self._retention
        if dropped := self._store.partitions.drop(created_before=before):
            logger.info("months dropped", extra={"months": dropped})

    def _keep_waiting(self) -> None:
        """Put off the expiry of unstored responses; fail temporary ones whose content is lost.

        The content of one that runs is in its worker's memory: it ends by itself, or waits again.
        That of one in the foreground is deleted once its client has left.
        """
        waiting = self._store.reaper.waiting_unstored()
        awaited = [record.id for record in waiting if not record.is_temporary]
        temporary = {record.id: record for record in waiting if record.is_temporary}
        self._unstored.keep(awaited, UNSTORED_TTL_S)
        for response_id in self._unstored.keep(list(temporary), QUEUED_TTL_S):
            record = temporary[response_id]
            if record.status is ResponseStatus.QUEUED and finalize_orphan(
                self._store, self._log, self._unstored, self._windows, record, CONTENT_LOST
            ):
                logger.warning("content lost", extra={"response_id": response_id.hex})

    def _expire(self) -> None:
        """Delete finished responses past their retention time, with their data in Redis."""
        now = datetime.now(UTC)
        reaper = self._store.reaper
        self._delete(lambda: reaper.expire(created_before=now - self._retention))
        lapsed = now - timedelta(seconds=self._unstored.ended_ttl_s)
        self._delete(
            lambda: reaper.expire_unstored(awaited_before=now - UNSTORED, temporary_before=lapsed)
        )

    def _expire_sooner(self) -> None:
        """Delete finished responses of projects that keep them for less time than the server."""
        now = datetime.now(UTC)
        for project_id, days in self._store.administration.retention_days().items():
            before = now - timedelta(days=days)
            if before > now - self._retention:
                expire = self._store.reaper.expire_of_project
                self._delete(partial(expire, project_id, created_before=before))

    def _expire_audit(self) -> None:
        before = datetime.now(UTC) - self._audit_retention
        while not self._stopping.is_set() and (count := self._store.audit.expire(before=before)):
            logger.info("audit entries expired", extra={"count": count})

    def _delete(self, delete_batch: Callable[[], list[UUID]]) -> None:
        started_at = time.monotonic()
        while not self._stopping.is_set() and (expired := delete_batch()):
            self._log.forget(expired)
            self._unstored.forget(*expired)
            logger.info("responses expired", extra={"count": len(expired)})
            self._stopping.wait(self._pause_ratio * (time.monotonic() - started_at))
            started_at = time.monotonic()

    def _forget_logs(self) -> None:
        """Delete the logs of responses that are deleted or finished without a terminal event.

        Such logs remain if Redis was down at that moment, restored older data on a restart, or
        received one more write from a worker that was killed since.
        """
        if count := forget_orphaned_logs(self._store, self._log):
            logger.info("logs forgotten", extra={"count": count})

    def _tidy(self) -> None:
        self._store.reaper.forget_workers()
        self._store.idempotency_keys.expire()
        if num_dead := self._store.deliveries.give_up():
            logger.warning("webhooks given up", extra={"count": num_dead})
