"""What dead workers left in shared memory is removed; what living ones use stays.

The processes are real, and so is the shared memory.
"""

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from pathlib import Path
from threading import Thread

import pytest

from tests.polling import PATIENCE_S, eventually
from worker.engine.vllm import ipc_names
from worker.engine.vllm.ipc_names import claim_names, remove_left

SHM = Path("/dev/shm")
ROOT = Path(__file__).parents[5]

pytestmark = pytest.mark.skipif(not SHM.is_dir(), reason="no /dev/shm on this system")

_SCRIPT = """
import multiprocessing, os, socket, sys
from multiprocessing import shared_memory
from worker.engine.vllm import ipc_names

ipc_names.{start}()
folder = os.environ["VLLM_RPC_BASE_PATH"]
memory = shared_memory.SharedMemory(create=True, size=1000)
memory.buf[:4] = b"used"
lock = multiprocessing.get_context("spawn").Lock()
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{{folder}}/{{os.getpid()}}")
print(folder, memory.name, flush=True)
sys.stdin.read()
memory.close()
memory.unlink()
"""


class Process:
    """Process with shared memory, a semaphore and a socket, which waits until it is ended."""

    def __init__(self, start: str, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT.format(start=start)],
            cwd=ROOT,
            env={**os.environ, "VLLM_RPC_BASE_PATH": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        path, self.memory = self._process.stdout.readline().split()
        self.folder = Path(path)

    @property
    def files(self) -> set[Path]:
        """What is named after its folder."""
        return {*SHM.glob(f"*{self.folder.name}*"), *self.folder.glob("*")}

    def kill(self) -> None:
        """Kill it and all that it has started, as the supervisor does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Let it end by itself."""
        self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0

    def close(self) -> None:
        """Kill it if it lives, and close its pipes."""
        if self._process.poll() is None:
            self.kill()
        self._process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start workers, or processes of one; they leave nothing behind."""
    processes: list[Process] = []

    def start(of: Process | None = None) -> Process:
        name, folder = ("claim_names", "") if of is None else ("join_names", str(of.folder))
        processes.append(Process(name, folder))
        return processes[-1]

    yield start
    for process in processes:
        process.close()
    remove_left()
    assert [process.files for process in processes] == [set()] * len(processes)


def can_be_used(process: Process) -> bool:
    """Return True if the memory is there, with what its process has written."""
    memory = shared_memory.SharedMemory(process.memory)
    assert memory.buf is not None
    content = bytes(memory.buf[:4])
    memory.close()
    return content == b"used"


def test_what_a_killed_worker_left_is_removed(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    worker = start()
    worker.kill()
    # The folder, the socket in it, the memory and the semaphore.
    assert len(worker.files) == 4

    remove_left()

    assert worker.files == set()
    [record] = caplog.records
    assert record.message == "shared memory of a dead worker removed"
    assert record.__dict__["count"] == 2
    assert record.__dict__["bytes"] >= 1000


def test_what_a_living_worker_uses_stays(start: Start) -> None:
    dead, living = start(), start()
    dead.kill()
    used = living.files

    remove_left()

    assert dead.files == set()
    assert living.files == used
    assert len(used) == 4
    assert can_be_used(living)


def test_the_next_worker_removes_it_at_its_start(start: Start) -> None:
    dead = start()
    dead.kill()

    start()

    assert dead.files == set()


def test_what_a_process_still_uses_stays_when_its_worker_is_killed(start: Start) -> None:
    worker = start()
    rank = start(of=worker)
    assert rank.folder == worker.folder
    assert rank.memory.startswith(worker.folder.name)
    worker.kill()
    used = rank.files

    remove_left()

    assert rank.files == used
    assert can_be_used(rank)
    rank.kill()
    remove_left()
    assert rank.files == set()


def test_a_process_without_a_folder_of_its_worker_has_its_own(start: Start) -> None:
    worker = start()
    worker.kill()
    remove_left()

    rank = start(of=worker)

    assert rank.folder != worker.folder
    assert rank.memory.startswith(rank.folder.name)


def test_a_worker_that_ends_by_itself_leaves_nothing(start: Start) -> None:
    worker = start()

    worker.end()

    assert worker.files == set()


def test_what_others_have_made_stays(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = start()
    foreign.kill()
    left = foreign.files
    unnamed = shared_memory.SharedMemory(create=True, size=1000)
    unnamed.close()
    uid = os.geteuid()

    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: uid + 1)
        remove_left()

    assert foreign.files == left
    remove_left()
    unnamed.unlink()  # it is still there


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").touch()
    (tmp_path / "antiphon-vllm-link").symlink_to(target)

    remove_left(tmp_path)

    assert (target / "file").exists()


def test_a_folder_that_is_removed_before_it_is_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    hold = ipc_names._hold

    def hold_later(folder: Path) -> int:
        if not made:
            remove_left(tmp_path)
        made.append(folder)
        return hold(folder)

    monkeypatch.setattr(ipc_names, "_hold", hold_later)

    folder, descriptor = ipc_names._make_folder(tmp_path)

    assert list(tmp_path.iterdir()) == [folder]
    assert made == [made[0], folder]
    os.close(descriptor)


def test_who_waits_for_a_folder_that_is_removed_learns_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "antiphon-vllm-it"
    folder.mkdir()
    remover = os.open(folder, os.O_RDONLY)
    fcntl.flock(remover, fcntl.LOCK_EX)
    errors: list[BaseException] = []

    def hold() -> None:
        try:
            ipc_names._hold(folder)
        except FileNotFoundError as error:
            errors.append(error)

    waiting = Thread(target=hold)
    waiting.start()
    eventually(lambda: _num_open(folder) == 2)
    folder.rmdir()
    os.close(remover)
    waiting.join(PATIENCE_S)

    assert len(errors) == 1


def _num_open(folder: Path) -> int:
    """Return the number of descriptors of this process that are of a folder."""
    links = (os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(link == str(folder) for link in links)


def test_without_shared_memory_names_are_those_of_vllm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An engine of an earlier test may have claimed names for this process.
    monkeypatch.setattr(ipc_names, "_locks", {})
    before = shared_memory.SharedMemory

    assert claim_names(tmp_path / "missing") is None

    assert shared_memory.SharedMemory is before
    assert "vLLM names shared memory itself" in caplog.text
