"""How many of the machine's cores this process may use, and who goes first on them."""

import os
from contextlib import suppress
from pathlib import Path

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU in each period of so many (cgroup v2)."""

_THREADS = Path("/proc/self/task")

_NICE = 5


def num_cores() -> int:
    """Cores that this process may use: by its affinity and its container's limit, at least one."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if _CPU_LIMIT.exists():
        quota, period = _CPU_LIMIT.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def thread_ids() -> set[int]:
    """The threads of this process, those of libraries included; none where the system does not
    say (Linux does)."""
    return {int(name) for name in os.listdir(_THREADS)} if _THREADS.exists() else set()


def lower_priority(threads: set[int]) -> None:
    """Let others go first before these threads and those that they start: the API answers at once
    also where all cores compute. Linux alone has priorities of threads."""
    for thread in threads:
        # One that has ended, or that comes after others already: not everyone may change that.
        with suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, thread) < _NICE:
                os.setpriority(os.PRIO_PROCESS, thread, _NICE)
