"""Executor of queued responses in simulated time: claims and ends are real, generation is not."""

import heapq
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from models.responses.record import ResponseRecord
from tests.factories import usage_of
from tests.integration.desk import Desk

REFRESH_EVERY = 20
"""Ends between two rounds of maintenance."""


@dataclass(order=True, slots=True)
class _Run:
    ends_at: int
    number: int
    record: ResponseRecord = field(compare=False)
    num_tokens: int = field(compare=False)


class FakeExecutor:
    """Runs responses in so many places, each at one token per unit of time.

    Several workers claim at the same time. `num_tokens_of` is the length of a response.
    """

    def __init__(
        self,
        desk: Desk,
        num_tokens_of: Callable[[ResponseRecord], int],
        *,
        num_places: int,
        num_workers: int = 1,
    ) -> None:
        self._desk = desk
        self._num_tokens_of = num_tokens_of
        self._num_places = num_places
        self._workers = [desk.hire() for _ in range(num_workers)]
        desk.sql("UPDATE workers SET lease_until = now() + interval '1 hour'")
        self._running: list[_Run] = []
        self.num_ended = 0
        self.claims: list[ResponseRecord] = []
        """All claims, in order."""
        self.tokens: Counter[str] = Counter()
        """Tokens of ended responses, by project."""
        self.most_running: Counter[str] = Counter()
        """Largest number of responses that ran at a time, by project."""

    def step(self) -> bool:
        """Fill the places, then let the next response end; return False if none runs."""
        now = self._running[0].ends_at if self._running else 0
        while len(self._running) < self._num_places and self._claim(now):
            pass
        if not self._running:
            return False
        self._end(heapq.heappop(self._running))
        return True

    def _claim(self, now: int) -> bool:
        """Claim for as many places as there are workers; return False if nothing was to claim."""
        workers = self._workers[: self._num_places - len(self._running)]
        claims = self._desk.store.claims
        with ThreadPoolExecutor(len(workers)) as threads:
            found = list(threads.map(lambda worker: claims.claim(worker.id, worker.model), workers))
        claimed = [record for record in found if record is not None]
        for record in claimed:
            num_tokens = self._num_tokens_of(record)
            run = _Run(now + num_tokens, len(self.claims), record, num_tokens)
            heapq.heappush(self._running, run)
            self.claims.append(record)
        self.most_running |= Counter(run.record.project_id for run in self._running)
        return bool(claimed)

    def _end(self, run: _Run) -> None:
        assert self._desk.finish(run.record, usage=usage_of(output_tokens=run.num_tokens))
        self.tokens[run.record.project_id] += run.num_tokens
        self.num_ended += 1
        if self.num_ended % REFRESH_EVERY == 0:
            self._desk.store.flows.refresh()
