import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.supervisor.processes import Program
from cli.supervisor.run_folder import RunFolder
from cli.supervisor.supervisor import ChildFailedError, Supervisor
from tests.polling import PATIENCE_S, eventually

_ROOT = Path(__file__).parents[2]
_DRIVER = Path(__file__).with_name("supervisor_driver.py")
_AT_ONCE_S = 10.0
"""Seconds in which a slow machine starts a child; a child that failed soon before waits longer."""
# Every fake child writes a line to the file `journal` when it has started and when it stops.
_CHILD = """
import signal, sys
def note(text):
    with open({journal!r}, "a") as file:
        file.write(text + " {name}\\n")
def stop(number, frame):
    note("stop")
    {on_stop}
signal.signal(signal.SIGTERM, stop)
note("start")
while True:
    signal.pause()
"""


class Supervised:
    """Running supervisor of fake children."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.journal = data_dir / "journal"
        self.process: subprocess.Popen[bytes] | None = None

    def child(
        self, name: str, *, on_stop: str = "sys.exit()", stop_timeout_s: float = PATIENCE_S
    ) -> list[Any]:
        code = _CHILD.format(journal=str(self.journal), name=name, on_stop=on_stop)
        return [name, [sys.executable, "-c", code], stop_timeout_s]

    def start(self, *stages: list[object]) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, _DRIVER, self.data_dir, json.dumps(stages)],
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
            start_new_session=True,
        )
        num_children = sum(len(stage) for stage in stages)
        eventually(lambda: len(self.lines("start")) >= num_children)
        return self.process

    def lines(self, verb: str) -> list[str]:
        """Return the names of the children that wrote a line with `verb`, in order."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line.split()[1] for line in lines if line.startswith(verb)]

    def pid(self, name: str) -> int | None:
        path = self.data_dir / "run" / f"{name}.pid"
        return int(path.read_text()) if path.exists() else None


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    running = Supervised(tmp_path)
    yield running
    if running.process and running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # an orphan may stay a zombie until init reaps it


def test_a_one_shot_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    program = Program(name="migrate", argv=("sh", "-c", "echo no such table; exit 3"))

    with (
        folder.lock(),
        Supervisor(folder) as supervisor,
        pytest.raises(ChildFailedError, match=r"(?s)migrate exited with code 3.*no such table"),
    ):
        supervisor.run_once(program)


def test_a_child_that_crashes_during_the_start_ends_the_start_with_its_log(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    program = Program(name="worker-1", argv=("sh", "-c", "echo bad weights; exit 1"))

    with folder.lock(), Supervisor(folder) as supervisor:
        supervisor.start(program)

        with pytest.raises(ChildFailedError, match=r"(?s)worker-1 does not come up.*bad weights"):
            supervisor.wait(lambda: False, max_crashes=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_stops_the_last_stage_first_and_ends_well(
    supervised: Supervised, number: signal.Signals
) -> None:
    process = supervised.start(
        [supervised.child("postgres")], [supervised.child("worker")], [supervised.child("api")]
    )

    process.send_signal(number)

    assert process.wait(PATIENCE_S) == 0
    assert supervised.lines("stop") == ["api", "worker", "postgres"]
    assert not list((supervised.data_dir / "run").glob("*.pid"))


def test_a_killed_child_is_back_at_once_under_a_new_pid(supervised: Supervised) -> None:
    supervised.start([supervised.child("worker")])
    first = supervised.pid("worker")
    assert first is not None

    killed_at = time.monotonic()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: supervised.pid("worker") not in (None, first))

    assert time.monotonic() - killed_at < _AT_ONCE_S
    eventually(lambda: supervised.lines("start") == ["worker", "worker"])


def test_a_child_that_keeps_crashing_is_not_restarted_in_a_tight_loop(
    supervised: Supervised,
) -> None:
    code = f"open({str(supervised.journal)!r}, 'a').write('start breaker\\n')"
    supervised.start([["breaker", [sys.executable, "-c", code], 1]])

    eventually(lambda: len(supervised.lines("start")) == 4)

    started_at = time.monotonic()
    eventually(lambda: len(supervised.lines("start")) == 5)
    assert time.monotonic() - started_at > 1


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_no_child_outlives_a_killed_supervisor(supervised: Supervised) -> None:
    process = supervised.start([supervised.child("postgres")], [supervised.child("worker")])
    pids = [supervised.pid("postgres"), supervised.pid("worker")]

    process.kill()
    process.wait()

    eventually(lambda: not any(is_alive(pid) for pid in pids if pid))


def test_a_ctrl_c_in_the_terminal_reaches_only_the_supervisor(supervised: Supervised) -> None:
    process = supervised.start([supervised.child("worker")])

    assert os.getsid(supervised.pid("worker") or 0) != os.getsid(process.pid)


def test_a_child_that_does_not_stop_in_time_is_killed(supervised: Supervised) -> None:
    process = supervised.start([supervised.child("stubborn", on_stop="pass", stop_timeout_s=0.5)])
    pid = supervised.pid("stubborn")

    process.terminate()

    assert process.wait(PATIENCE_S) == 0
    assert pid is not None
    assert not is_alive(pid)


def test_a_second_ctrl_c_does_not_wait_for_stubborn_children(supervised: Supervised) -> None:
    process = supervised.start([supervised.child("stubborn", on_stop="pass", stop_timeout_s=600)])

    process.send_signal(signal.SIGINT)
    eventually(lambda: supervised.lines("stop") == ["stubborn"])
    process.send_signal(signal.SIGINT)

    assert process.wait(PATIENCE_S) == 0


def test_what_a_crashed_child_had_started_does_not_survive_it(supervised: Supervised) -> None:
    helper = "import subprocess; helper = subprocess.Popen(['sleep', '60'])"
    name, argv, timeout_s = supervised.child("api")
    noted = f"{helper}; open({str(supervised.data_dir / 'helper')!r}, 'w').write(str(helper.pid))"
    supervised.start([[name, [argv[0], "-c", noted + argv[2]], timeout_s]])
    helper_pid = int((supervised.data_dir / "helper").read_text())
    os.kill(supervised.pid("api") or 0, signal.SIGKILL)

    eventually(lambda: not is_alive(helper_pid))


_BEATING = """
import pathlib, time
with open({journal!r}, "a") as file:
    file.write("start beating\\n")
while True:
    pathlib.Path("{{pulse}}").touch()
    time.sleep(0.02)
"""


def test_a_child_that_falls_silent_is_killed_and_started_again(supervised: Supervised) -> None:
    code = _BEATING.format(journal=str(supervised.journal))
    supervised.start([["beating", [sys.executable, "-c", code], 1]])
    first = supervised.pid("beating")
    assert first is not None
    pulse = supervised.data_dir / "run" / "beating.pulse"
    eventually(pulse.exists)

    os.kill(first, signal.SIGSTOP)

    eventually(lambda: supervised.lines("start") == ["beating", "beating"])
    assert not is_alive(first)
    assert (supervised.data_dir / "beating.died").read_text() == str(first)


_TALKING = """
import pathlib, sys
with open({journal!r}, "a") as file:
    file.write("start talking\\n")
for number in range(20_000):
    pathlib.Path("{{pulse}}").touch()
    print("line", number, flush=True)
pathlib.Path({journal!r} + ".done").touch()
while True:
    pathlib.Path("{{pulse}}").touch()
"""


def test_logs_of_children_are_rotated(supervised: Supervised) -> None:
    code = _TALKING.format(journal=str(supervised.journal))
    supervised.start([["talking", [sys.executable, "-c", code], 1]])
    folder = supervised.data_dir / "log"

    eventually(Path(f"{supervised.journal}.done").exists)
    eventually(lambda: (folder / "talking.log").stat().st_size <= 10_000)

    assert (folder / "talking.log.1").exists()
    assert len(list(folder.glob("talking.log*"))) <= 4
    assert supervised.lines("start") == ["talking"]
