"""CPU cores available to this process, and the scheduling priority of its threads."""

import os
from contextlib import suppress
from pathlib import Path

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""CPU limit of the container (cgroup v2): quota and period, in microseconds."""

_THREADS = Path("/proc/self/task")

_NICE = 5


def num_cores(cpu_limit: Path = _CPU_LIMIT) -> int:
    """Return the number of cores allowed by CPU affinity and the container's limit, at least 1.

    `cpu_limit` is the file with the limit, which need not exist.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if cpu_limit.exists():
        quota, period = cpu_limit.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def thread_ids() -> set[int]:
    """Return the ids of this process's threads, those of libraries included.

    Empty on systems without `/proc` (Linux has it).
    """
    return {int(name) for name in os.listdir(_THREADS)} if _THREADS.exists() else set()


def lower_priority(threads: set[int]) -> None:
    """Raise the nice value of these threads, and so of the threads that they start.

    The API then stays responsive while all cores compute. Only Linux has priorities per thread.
    """
    for thread in threads:
        # The thread may have ended. A nice value that is already higher stays: lowering it needs
        # privileges.
        with suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, thread) < _NICE:
                os.setpriority(os.PRIO_PROCESS, thread, _NICE)
