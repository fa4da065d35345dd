"""CPU affinity of server processes."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from api import cpu_affinity

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core"
)

_CHILD = """
import os, threading
from types import SimpleNamespace
from api.cpu_affinity import bind_to_core

core = min(os.sched_getaffinity(0))
bind_to_core(None, SimpleNamespace(core=core))
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
thread.start()
thread.join()
assert found == [{core}], found
"""


def spawn(arbiter: SimpleNamespace, **options: int) -> SimpleNamespace:
    """Do what gunicorn does for a new process, as far as it matters here."""
    worker = SimpleNamespace()
    cpu_affinity.choose_core(arbiter, worker, **options)
    arbiter.WORKERS[len(arbiter.WORKERS) + 1000 * arbiter.num_dead] = worker
    return worker


@pytest.mark.parametrize("first", [0, 1, 7])
def test_processes_are_spread_over_the_cores(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})
    arbiter = SimpleNamespace(WORKERS={}, num_dead=0)

    workers = [spawn(arbiter, first=first) for _ in range(5)]

    assert {worker.core for worker in workers[:3]} == {2, 3, 5}
    assert workers[3].core != workers[4].core


def test_a_new_process_gets_the_core_of_the_one_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    arbiter = SimpleNamespace(WORKERS={}, num_dead=0)
    workers = [spawn(arbiter) for _ in range(3)]

    arbiter.WORKERS = {
        n: worker for n, worker in arbiter.WORKERS.items() if worker is not workers[1]
    }
    arbiter.num_dead = 1

    assert spawn(arbiter).core == workers[1].core


def test_threads_keep_to_the_core_of_their_process() -> None:
    subprocess.run([sys.executable, "-c", _CHILD], check=True, timeout=90)
