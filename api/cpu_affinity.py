"""A core of its own for each server process.

A Python process runs on one core at a time, whichever its threads are on. Left alone, the kernel
spreads them over all, and a hand-over of the interpreter may wake another core. Bound, two
processes on two cores answered 1.23 times as many GETs and 1.35 times as many POSTs
(`bench/RESULTS.md`).
"""

import os
import random
from typing import Any

_FIRST = random.randrange(1 << 16)
"""Several servers on one machine begin at different cores."""


def choose_core(arbiter: Any, worker: Any) -> None:
    """gunicorn's `pre_fork`: the core that the fewest of the others have."""
    cores = sorted(os.sched_getaffinity(0))
    first = _FIRST % len(cores)
    taken = [other.core for other in arbiter.WORKERS.values()]
    worker.core = min([*cores[first:], *cores[:first]], key=taken.count)


def bind_to_core(_arbiter: Any, worker: Any) -> None:
    """gunicorn's `post_fork`: threads that are started later inherit it."""
    os.sched_setaffinity(0, {worker.core})
