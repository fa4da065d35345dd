"""Driver of all clients, which work through a plan, each one chain at a time."""

import math
import threading
import time
from collections import deque
from collections.abc import Sequence

from tests.chaos.client import Client
from tests.chaos.journal import Record
from tests.chaos.plan import Chain
from tests.chaos.web import Http

_CONTINUABLE = frozenset({"completed", "incomplete"})
_POLL_S = 0.2


class Driver:
    """Driver that runs a plan on a thread per client, and keeps the journal."""

    def __init__(self, web: Http, plan: Sequence[Chain], *, seed: int, num_clients: int) -> None:
        self._chains = deque(plan)
        self._lock = threading.Lock()
        self._give_up_at: float | None = None
        self.journal: list[Record] = []
        self._clients = [
            Client(web, self._is_over, f"{seed} {number}") for number in range(num_clients)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(client,), daemon=True)
            for client in self._clients
        ]

    def start(self) -> None:
        """Start all clients."""
        for thread in self._threads:
            thread.start()

    def wait_until_all_begun(self, limit_s: float = math.inf) -> None:
        """Return once the last chain has been started, or after `limit_s` seconds."""
        give_up_at = time.monotonic() + limit_s
        while self._chains and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)

    def join(self, grace_s: float) -> None:
        """Wait for the clients, which give up `grace_s` seconds from now."""
        self._give_up_at = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.join()

    def _is_over(self) -> bool:
        return self._give_up_at is not None and time.monotonic() > self._give_up_at

    def _work(self, client: Client) -> None:
        while True:
            with self._lock:
                if not self._chains:
                    return
                chain = self._chains.popleft()
            self._run(client, chain)

    def _run(self, client: Client, chain: Chain) -> None:
        last: Record | None = None
        for job in chain:
            previous_id = last.response_id if job.follows and last and _goes_on(last) else None
            record = Record(job)
            self.journal.append(record)
            client.run(job, previous_id, record)
            last = record


def _goes_on(record: Record) -> bool:
    """Return True if the next turn may continue this response."""
    return (
        record.job.store
        and record.job.delete_after_s is None
        and any(seen.status in _CONTINUABLE for seen in record.seen)
    )
