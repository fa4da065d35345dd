"""What requests have done with keys, written once a minute: uses, and what was refused.

Refusals are counted, and few of the counts are written: whoever tries keys cannot fill the trail.
"""

import logging
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from api.http.forwarded import client_network
from models.background_thread import BackgroundThread
from models.outages import OUTAGES
from models.store.access.api_keys import ApiKeys
from models.store.access.audit import NO_PROJECT, AuditEntryRecord, AuditTrail

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
"""Seconds between two writes."""
MAX_ENTRIES = 10
"""Entries of the trail that each process writes in that time, and one for all others."""
_MAX_COUNTERS = 10_000
_MAX_KEYS = 10_000
_OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of refused request."""

    project_id: str = NO_PROJECT
    key_id: str | None = None
    address: str | None = None
    object: str = ""
    result: str


class AccessLog:
    """Uses of keys and refused requests, until they are written by a thread."""

    def __init__(self, keys: ApiKeys, audit: AuditTrail, *, interval_s: float = INTERVAL_S) -> None:
        self._keys = keys
        self._audit = audit
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._refusals: Counter[Refusal] = Counter()
        self._thread = BackgroundThread(
            "access-log", self.write, interval_s=interval_s, message="uses of keys not written"
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and write what there is if the database answers."""
        self._thread.stop()
        with suppress(*OUTAGES):
            self.write()

    def note_use(self, key_id: str) -> None:
        """Note that a request had a valid key."""
        with self._lock:
            if len(self._used) < _MAX_KEYS:
                self._used.add(key_id)

    def note_refusal(self, refusal: Refusal) -> None:
        """Count a request without a valid key, or with one that lacks a scope."""
        address = None if refusal.address is None else client_network(refusal.address)
        counted = Refusal(
            project_id=refusal.project_id,
            key_id=refusal.key_id,
            address=address,
            object=refusal.object,
            result=refusal.result,
        )
        with self._lock:
            if counted not in self._refusals and len(self._refusals) >= _MAX_COUNTERS:
                counted = Refusal(object=_OTHERS, result=refusal.result)
            self._refusals[counted] += 1

    def write(self) -> None:
        """Write everything noted so far; what cannot be written is kept."""
        with self._lock:
            used, self._used = self._used, set()
            refusals, self._refusals = self._refusals, Counter()
        try:
            if used:
                self._keys.mark_used(used)
                used = set()
            for refusal, count in _most_frequent(refusals):
                self._audit.add(_to_entry(refusal, count))
                del refusals[refusal]
        except OUTAGES:
            with self._lock:
                self._used |= used
                self._refusals += refusals
            raise


def _most_frequent(refusals: Counter[Refusal]) -> list[tuple[Refusal, int]]:
    """Merge all but the most frequent into one of each result, and return them."""
    for refusal, count in refusals.most_common()[MAX_ENTRIES:]:
        del refusals[refusal]
        refusals[Refusal(object=_OTHERS, result=refusal.result)] += count
    return refusals.most_common()


def _to_entry(refusal: Refusal, count: int) -> AuditEntryRecord:
    return AuditEntryRecord(
        project_id=refusal.project_id,
        key_id=refusal.key_id,
        address=refusal.address,
        action="request.refuse",
        object=refusal.object,
        result=refusal.result,
        num_times=count,
    )
