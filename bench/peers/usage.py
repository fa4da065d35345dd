"""CPU time and memory of a process tree."""

from collections.abc import Iterator

import psutil


def tree_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants, ended ones included."""
    return sum(sum(process.cpu_times()[:4]) for process in _tree(pid))


def tree_memory_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants in bytes, shared pages once (PSS)."""
    return sum(int(process.memory_full_info().pss) for process in _tree(pid))


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            yield process
