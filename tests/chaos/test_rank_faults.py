"""Faults of ranks strike those that serve, wait for these, and say if there were none."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.rank_faults import RankFaults, describe
from tests.chaos.schedule import Step, draw_schedule
from tests.polling import eventually

Start = Callable[[], subprocess.Popen[bytes]]
OLD, NEW = 1, 2
"""Process ids of a worker and of the one that follows it."""


class Workers:
    """Cluster whose workers serve when a test says so."""

    def __init__(self) -> None:
        self.serving: dict[str, tuple[int, list[int]]] = {}
        self.num_looks = 0

    def serving_ranks(self, worker: str) -> tuple[int, list[int]]:
        """Return the process id of a worker and its ranks."""
        self.num_looks += 1
        return self.serving.get(worker, (OLD, []))


@pytest.fixture
def rank() -> Iterator[Start]:
    """Start processes that wait, as ranks do."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "input('VLLM::')"]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def faults(workers: Workers, stopping: threading.Event) -> RankFaults:
    cluster: Any = workers
    return RankFaults(cluster, stopping)


def step(sent: signal.Signals = signal.SIGKILL, *, index: int = 0, lasts_s: float = 0.0) -> Step:
    target = "worker-1-rank"
    return Step(at_s=7, act="signal", target=target, sent=sent, index=index, lasts_s=lasts_s)


def looked_again(workers: Workers) -> Callable[[], bool]:
    """Return whether a strike has looked for ranks, wholly, from now on."""
    before = workers.num_looks
    return lambda: workers.num_looks >= before + 2


def test_a_fault_waits_until_the_ranks_serve(
    workers: Workers, faults: RankFaults, rank: Start
) -> None:
    first, second = rank(), rank()

    faults.start(step(index=1))
    eventually(looked_again(workers))
    assert faults.counts == {}
    workers.serving["worker-1"] = OLD, [first.pid, second.pid]
    faults.join()

    assert second.wait(30) == -signal.SIGKILL
    assert first.poll() is None
    assert faults.counts == {"SIGKILL": 1}
    assert "SIGKILL worker-1-rank/1  (of a worker that served" in faults.log[0]


def test_ranks_of_a_worker_that_lost_one_are_not_struck_again(
    workers: Workers, faults: RankFaults, rank: Start
) -> None:
    first, second, of_the_next = rank(), rank(), rank()
    workers.serving["worker-1"] = OLD, [first.pid]
    faults.start(step())
    faults.join()

    workers.serving["worker-1"] = OLD, [second.pid]
    faults.start(step())
    eventually(looked_again(workers))
    workers.serving["worker-1"] = NEW, [of_the_next.pid]
    faults.join()

    assert of_the_next.wait(30) == -signal.SIGKILL
    assert second.poll() is None
    assert faults.counts == {"SIGKILL": 2}


def test_without_ranks_that_serve_in_time_it_says_so(
    workers: Workers, stopping: threading.Event
) -> None:
    cluster: Any = workers
    faults = RankFaults(cluster, stopping, serving_within_s=0.0)

    faults.start(step())
    faults.join()

    assert faults.counts == {"without effect": 1}
    assert "(without effect" in faults.log[0]


def test_a_rank_that_is_gone_meanwhile_counts_as_not_struck(
    workers: Workers, faults: RankFaults, rank: Start
) -> None:
    gone = rank()
    gone.kill()
    gone.wait()
    workers.serving["worker-1"] = OLD, [gone.pid]

    faults.start(step())
    faults.join()

    assert faults.counts == {"without effect": 1}


def test_no_fault_begins_after_the_end(
    workers: Workers, faults: RankFaults, stopping: threading.Event, rank: Start
) -> None:
    process = rank()
    faults.start(step())
    eventually(looked_again(workers))

    stopping.set()
    faults.join()
    workers.serving["worker-1"] = OLD, [process.pid]
    faults.start(step())
    faults.join()

    assert process.poll() is None
    assert faults.counts == {"without effect": 2}


@pytest.mark.parametrize(("lasts_s", "ends"), [(0.2, False), (3600.0, True)])
def test_a_stopped_rank_is_continued(
    workers: Workers,
    faults: RankFaults,
    stopping: threading.Event,
    rank: Start,
    lasts_s: float,
    ends: bool,
) -> None:
    process = rank()
    workers.serving["worker-1"] = OLD, [process.pid]

    faults.start(step(signal.SIGSTOP, lasts_s=lasts_s))
    if ends:
        eventually(lambda: is_stopped(process.pid))
        stopping.set()
    faults.join()

    assert not is_stopped(process.pid)
    assert process.communicate(b"\n", timeout=30)[0] == b"VLLM::"
    assert faults.counts == {"SIGSTOP": 1}


def is_stopped(pid: int) -> bool:
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


def test_a_strike_is_told_of(workers: Workers, stopping: threading.Event, rank: Start) -> None:
    cluster: Any = workers
    told: list[Step] = []
    workers.serving["worker-1"] = OLD, [rank().pid]
    faults = RankFaults(cluster, stopping, told.append)

    faults.start(step())
    faults.join()

    assert told == [step()]


def test_the_report_counts_each_kind() -> None:
    counts = Counter({"SIGKILL": 5, "SIGSTOP": 2, "without effect": 1})

    assert describe(counts).endswith(": 5 SIGKILL, 2 SIGSTOP, 1 without effect")
    assert describe(Counter()).endswith(": 0 SIGKILL, 0 SIGSTOP, 0 without effect")


def test_ranks_serve_once_their_worker_shows_signs_of_life(tmp_path: Path, rank: Start) -> None:
    cluster = Cluster(tmp_path, env={})
    run = tmp_path / "run"
    run.mkdir()
    assert cluster.serving_ranks("worker-1") == (0, [])
    (run / "worker-1.pid").write_text(str(pid := os.getpid()))
    first = rank()
    (run / "worker-1.pulse").touch()
    # Of a model that two share, one is gone.
    eventually(lambda: cluster.pids("worker-1-rank") == [first.pid])
    assert cluster.serving_ranks("worker-1") == (pid, [])

    second = rank()

    both = sorted([first.pid, second.pid])
    eventually(lambda: cluster.serving_ranks("worker-1") == (pid, both))
    (run / "worker-1.pulse").unlink()
    assert cluster.serving_ranks("worker-1") == (pid, [])


def test_a_schedule_strikes_ranks_only_where_there_are_some() -> None:
    def ranks(*, has_ranks: bool) -> list[Step]:
        steps = draw_schedule(7, num_workers=2, every_s=(15, 30), has_ranks=has_ranks)
        return [step for step in islice(steps, 400) if step.target.endswith("-rank")]

    assert ranks(has_ranks=False) == []
    struck = ranks(has_ranks=True)
    assert {step.target for step in struck} == {"worker-1-rank", "worker-2-rank"}
    assert {step.index for step in struck} == {0, 1}
    frozen = [step for step in struck if step.sent is signal.SIGSTOP]
    assert all(2 <= step.lasts_s <= 12 for step in frozen)
    assert 0 < len(frozen) < len(struck)
    assert {step.sent for step in struck} == {signal.SIGKILL, signal.SIGSTOP}
