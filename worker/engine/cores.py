"""How many of the machine's cores this process may use, and who goes first on them."""

import os
import sys
import threading
from pathlib import Path

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU in each period of so many (cgroup v2)."""

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


def lower_priority() -> None:
    """Let others go first before this thread and those that it starts: the API answers at once also
    where all cores compute. Linux alone has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
