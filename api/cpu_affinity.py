"""CPU affinity: each server process is bound to one core.

Because of the global interpreter lock, a Python process uses one core at a time. Left alone, the
kernel spreads its threads over all cores, and passing the lock on may have to wake another core.
Bound, two processes on two cores answered 1.23 times as many GETs and 1.35 times as many POSTs
(`bench/RESULTS.md`).
"""

import os
import random
from typing import Any

_FIRST = random.randrange(1 << 16)
"""Random offset, so that several servers on one machine start at different cores."""


def choose_core(arbiter: Any, worker: Any, *, first: int = _FIRST) -> None:
    """Assign the core with the fewest processes to a new worker (gunicorn's `pre_fork` hook).

    Of several such cores, it is the next one from number `first` on.
    """
    cores = sorted(os.sched_getaffinity(0))
    first %= len(cores)
    used_cores = [other.core for other in arbiter.WORKERS.values()]
    worker.core = min([*cores[first:], *cores[:first]], key=used_cores.count)


def bind_to_core(_arbiter: Any, worker: Any) -> None:
    """Bind the process to its core (gunicorn's `post_fork` hook).

    Threads that are started later inherit the binding.
    """
    os.sched_setaffinity(0, {worker.core})
