"""Periodic charges of the running responses: what they use counts for the fair order meanwhile."""

from itertools import groupby
from operator import attrgetter
from uuid import UUID

from models.background_thread import BackgroundThread
from models.store.fairness.charges import cost_of
from models.store.store import Store
from worker.generation.registry import RunningResponses

_project_of = attrgetter("project_id")


class Charger:
    """Thread that charges the flows of long responses for their tokens so far.

    Others are charged when they end, or are handed back.
    """

    def __init__(self, store: Store, running: RunningResponses, *, interval_s: float) -> None:
        self._store = store
        self._running = running
        self._seen: dict[UUID, float] = {}
        """Cost of each response at the last call."""
        self._thread = BackgroundThread(
            "charger", self.charge, interval_s=interval_s, message="tokens not charged"
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._thread.stop()

    def charge(self) -> None:
        """Charge the responses that ran at the last call, too, for what they have used since."""
        records = {record.id: record for record in self._running.records_with_usage()}
        costs = {record.id: cost_of(record.usage) for record in records.values()}
        due = [
            record
            for record in records.values()
            if record.id in self._seen and costs[record.id] > self._seen[record.id]
        ]
        self._seen = costs
        for project_id, mine in groupby(sorted(due, key=_project_of), key=_project_of):
            self._store.flows.charge(project_id, list(mine))
