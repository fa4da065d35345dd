import os
import sys
import threading
from pathlib import Path

import pytest

from worker.engine.cpu_cores import lower_priority, num_cores, thread_ids


@pytest.fixture
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.usefixtures("_eight_cores")
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 8),
        ("400000 100000", 4),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
    ],
)
def test_cores_are_those_that_a_container_may_use(
    tmp_path: Path, limit: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")

    assert num_cores(tmp_path / "cpu.max") == expected


@pytest.mark.usefixtures("_eight_cores")
def test_without_a_container_cores_are_those_of_the_process(tmp_path: Path) -> None:
    assert num_cores(tmp_path / "none") == 8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_threads_whose_priority_is_lowered_are_those_that_are_named() -> None:
    mine = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, mine)
    known = thread_ids()
    found: list[int] = []

    def lower() -> None:
        lower_priority(thread_ids() - known)
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=lower)
    thread.start()
    thread.join()

    assert found == [5]
    assert os.getpriority(os.PRIO_PROCESS, mine) == before


def test_a_thread_that_has_ended_is_no_error() -> None:
    lower_priority({2**22 + 1})
