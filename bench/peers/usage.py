"""What a process and all below it use."""

from collections.abc import Iterator

import psutil


def tree_cpu_s(pid: int) -> float:
    """Seconds of CPU of a process and all below it, those that have ended included."""
    return sum(sum(each.cpu_times()[:4]) for each in _tree(pid))


def tree_memory_bytes(pid: int) -> int:
    """Resident memory of a process and all below it; what they share is counted once."""
    return sum(int(each.memory_full_info().pss) for each in _tree(pid))


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    for each in [root, *root.children(recursive=True)]:
        if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
            yield each
