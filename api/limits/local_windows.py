"""Moving windows in one process, for the time in which Redis is away."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from cachetools import LRUCache

from models.access.projects import ProjectLimits
from models.limits.amounts import COUNTERS, Decision, Demand, Usage, rates_of
from models.limits.windows import FIRST_MEAN, StoredRoom

SLOT_MS = 500
NUM_SLOTS = 121
"""Slots of a window, as in the scripts."""
_MAX_PROJECTS = 10_000

Amounts = tuple[int, int, int]


class _Window:
    """Amounts of one project in the slots of its window."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, list[int]]] = deque()

    def slide(self, slot: int) -> None:
        while self._slots and self._slots[0][0] <= slot - NUM_SLOTS:
            self._slots.popleft()

    def add(self, slot: int, amounts: Amounts) -> None:
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, [0, 0, 0]))
        for counter, amount in enumerate(amounts):
            self._slots[-1][1][counter] += amount

    def total(self, counter: int) -> int:
        return sum(amounts[counter] for _, amounts in self._slots)

    def free_at(self, counter: int, amount: int) -> int:
        """Return the slot from which on so much of the window is free again."""
        for slot, amounts in self._slots:
            amount -= amounts[counter]
            if amount <= 0:
                return slot + NUM_SLOTS
        return self._slots[-1][0] + NUM_SLOTS if self._slots else NUM_SLOTS


class LocalWindows:
    """Counters of what this process has let in: a process may use its share of each limit."""

    def __init__(
        self, num_processes: Callable[[], int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create the counters; `num_processes` returns the number of processes that share."""
        self._num_processes = num_processes
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: LRUCache[str, _Window] = LRUCache(_MAX_PROJECTS)

    def note(self, project_id: str, demand: Demand, output_tokens: int) -> None:
        """Count a demand that Redis has granted."""
        slot = self._now_ms() // SLOT_MS
        with self._lock:
            window = self._window(project_id, slot)
            window.add(slot, (demand.requests, demand.input_tokens, output_tokens))

    def reserve(
        self, project_id: str, limits: ProjectLimits, demand: Demand, room: StoredRoom | None
    ) -> Decision:
        """Count a demand if the process's share of every limit allows it."""
        now_ms, num_processes = self._now_ms(), self._num_processes()
        slot = now_ms // SLOT_MS
        shares = [limit and math.ceil(limit / num_processes) for limit in rates_of(limits).values()]
        output_tokens = demand.output_tokens + demand.num_open_choices * FIRST_MEAN
        if demand.num_open_choices and shares[2] is not None:
            output_tokens = max(demand.output_tokens, min(output_tokens, shares[2]))
        amounts = (demand.requests, demand.input_tokens, output_tokens)
        with self._lock:
            window = self._window(project_id, slot)
            waits = [
                (window.free_at(counter, excess) * SLOT_MS - now_ms, COUNTERS[counter])
                for counter, share in enumerate(shares)
                if share is not None
                and amounts[counter]
                and (excess := window.total(counter) + amounts[counter] - share) > 0
            ]
            if not waits:
                window.add(slot, amounts)
            usage = {
                name: Usage(window.total(counter) * num_processes, NUM_SLOTS * SLOT_MS)
                for counter, name in enumerate(COUNTERS)
            }
        wait_ms, refused_by = max(waits, default=(0, None))
        if room is not None and demand.stored_bytes > room.num_bytes // num_processes:
            refused_by = "stored_bytes"
        return Decision(
            refused_by=refused_by,
            wait_ms=wait_ms,
            slot=slot,
            output_tokens=output_tokens,
            usage=usage,
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _window(self, project_id: str, slot: int) -> _Window:
        window = self._windows.get(project_id)
        if window is None:
            window = self._windows[project_id] = _Window()
        window.slide(slot)
        return window
