"""Retention: what is past its time is deleted, and the months that will be needed are made.

In a thread of its own: a sweep may take minutes, and the maintenance loop reclaims every second.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import redis

from models.errors import UnavailableError
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import EventLog
from models.streams.unstored import UNSTORED_TTL_S

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
LOGS_INTERVAL_S = 10.0
"""What was deleted while Redis was away is in there no longer than this once it is back."""
UNSTORED = timedelta(seconds=UNSTORED_TTL_S)
REST = 3.0
"""Times as long as a batch took, the database is left to others before the next."""


class Retention:
    """One sweep after the other; any number of processes may sweep."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._store = Store.open(settings.database_url, pool_size=1)
        self._client = connect(settings.redis_url, max_connections=1)
        self._log = EventLog(self._client)
        self._retention = timedelta(days=settings.retention_days)
        self._stopping = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Sweep until told to stop, which also ends a sweep."""
        self._stopping = stopping
        next_sweep = 0.0
        while not stopping.is_set():
            if time.monotonic() < next_sweep:
                self._attempt(self._forget_logs)
            else:
                self.sweep()
                next_sweep = time.monotonic() + INTERVAL_S
            stopping.wait(LOGS_INTERVAL_S)

    def close(self) -> None:
        """Close every connection."""
        self._store.close()
        self._client.close()

    def sweep(self) -> None:
        """Every step once; one that fails is tried again in the next sweep."""
        for step in (
            self._drop_months,
            self._add_months,
            self._expire,
            self._forget_logs,
            self._tidy,
        ):
            self._attempt(step)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (UnavailableError, redis.RedisError) as error:
            about = {"step": step.__name__, "error": str(error)}
            logger.warning("retention step failed", extra=about)

    def _add_months(self) -> None:
        if added := self._store.partitions.add(datetime.now(UTC)):
            logger.info("months added", extra={"months": added})

    def _drop_months(self) -> None:
        before = datetime.now(UTC) - self._retention
        if dropped := self._store.partitions.drop(created_before=before):
            logger.info("months dropped", extra={"months": dropped})

    def _expire(self) -> None:
        """Delete finished responses past their time, with all that Redis has of them."""
        now = datetime.now(UTC)
        upkeep = self._store.reaper
        self._delete(lambda: upkeep.expire(created_before=now - self._retention))
        self._delete(lambda: upkeep.expire_unstored(created_before=now - UNSTORED))

    def _delete(self, batch: Callable[[], list[UUID]]) -> None:
        began = time.monotonic()
        while not self._stopping.is_set() and (expired := batch()):
            self._log.forget(expired)
            logger.info("responses expired", extra={"count": len(expired)})
            self._stopping.wait(REST * (time.monotonic() - began))
            began = time.monotonic()

    def _forget_logs(self) -> None:
        """Forget the logs of what is deleted or has ended without a word in Redis.

        Redis was away at that moment, or brought back what it had forgotten, or a worker that was
        killed since has written once more.
        """
        for logs in self._log.kept():
            ends = self._store.reaper.have_ended(list(logs))
            # Of what is not there, all; of what has ended, what is kept as if it had not.
            left = [
                each
                for each, has_end in logs.items()
                if each not in ends or (ends[each] and not has_end)
            ]
            if left:
                self._log.forget(left)
                logger.info("logs forgotten", extra={"count": len(left)})

    def _tidy(self) -> None:
        self._store.reaper.forget_workers()
        self._store.idempotency_keys.expire()
        if num_dead := self._store.deliveries.give_up():
            logger.warning("webhooks given up", extra={"count": num_dead})
