"""Faults of ranks, the processes in which vLLM computes a model: each waits until they serve."""

import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress

from tests.chaos.cluster import Cluster
from tests.chaos.schedule import Step

_MISSED = "without effect"
_SERVING_WITHIN_S = 180.0
"""Seconds in which a worker starts even on busy cores."""
_POLL_S = 0.1


class RankFaults:
    """Strikes on ranks, each in a thread of its own, since a worker may take minutes to serve.

    Meanwhile the nemesis goes on: what it has stopped or denied may be what keeps the worker away.
    """

    def __init__(
        self,
        cluster: Cluster,
        stopping: threading.Event,
        on_strike: Callable[[Step], None] = lambda _: None,
        *,
        serving_within_s: float = _SERVING_WITHIN_S,
    ) -> None:
        """Create without strikes; none begins, and no freeze lasts, once `stopping` is set."""
        self._cluster = cluster
        self._stopping = stopping
        self._on_strike = on_strike
        self._serving_within_s = serving_within_s
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """One strike at a time for each worker."""
        self._lost: set[int] = set()
        """Workers whose rank was killed: they end, and serve no more."""
        self._threads: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        """Number of strikes by signal, and of those that found no rank that served."""
        self.log: list[str] = []

    def start(self, step: Step) -> None:
        """Strike as soon as the worker's ranks serve; does not wait for it."""
        turn = self._turns[step.target]
        thread = threading.Thread(target=self._strike, args=[step, turn], daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait until each has struck or given up."""
        for thread in self._threads:
            thread.join()

    def _strike(self, step: Step, turn: threading.Lock) -> None:
        began_at = time.monotonic()
        with turn:
            rank = self._wait_for_rank(step, began_at + self._serving_within_s)
            waited_s = time.monotonic() - began_at
            if rank is None or not self._hit(step, rank):
                self.counts[_MISSED] += 1
                self.log.append(f"{step}  ({_MISSED}, after {waited_s:.0f} s)")
                return
            self.counts[step.sent.name] += 1
            self.log.append(f"{step}  (of a worker that served, after {waited_s:.0f} s)")
            if step.sent is signal.SIGSTOP:
                self._stopping.wait(step.lasts_s)
                with suppress(ProcessLookupError):
                    os.kill(rank, signal.SIGCONT)

    def _wait_for_rank(self, step: Step, deadline: float) -> int | None:
        worker = step.target.removesuffix("-rank")
        while not self._stopping.is_set():
            pid, ranks = self._cluster.serving_ranks(worker)
            if ranks and pid not in self._lost:
                if step.sent is signal.SIGKILL:
                    self._lost.add(pid)
                return ranks[step.index % len(ranks)]
            if time.monotonic() >= deadline:
                return None
            self._stopping.wait(_POLL_S)
        return None

    def _hit(self, step: Step, rank: int) -> bool:
        self._on_strike(step)
        try:
            os.kill(rank, step.sent)
        except ProcessLookupError:
            return False
        return True


def describe(counts: Counter[str]) -> str:
    """Return the counts of a trial as a line of its report."""
    known = (signal.SIGKILL.name, signal.SIGSTOP.name, _MISSED)
    return "faults of ranks that served: " + ", ".join(f"{counts[name]} {name}" for name in known)
