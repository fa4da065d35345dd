"""Seconds from a fresh clone to the first answer: `python -m bench.newcomer`.

Does what the README says, as somebody who has done nothing before: no virtual environment, no
cache of packages, no weights, no setting. Needs git, make, a Python, and the default port.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import ROOT, STOP_S, BenchError

_GOAL_S = 240.0
_LIMIT_S = 1800.0
_BIN = Path(sys.prefix) / "bin"
_POLL_S = 0.1
_BANNER = b"Antiphon is up."
_QUESTION = "Tell me about the sea."
_NOT_PASSED_ON = ("ANTIPHON_", "DATABASE_", "REDIS_URL", "OPENAI_", "VIRTUAL_ENV", "XDG_", "HF_")
"""Beginnings of variables that a newcomer has not set."""

Timed = Callable[[str], AbstractContextManager[None]]
"""Context manager that times the named step."""


def main(
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure once: the packages of a second round would be no slower to come by."""
    command = shlex.join(["python", "-m", "bench.newcomer", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    # If we are root, Postgres runs as another user, who needs to traverse this folder.
    folder.chmod(0o755)
    try:
        times = _first_steps(folder)
    finally:
        shutil.rmtree(folder)
    total_s = sum(times.values())
    measures = [Measure(name=f"{name}, s", rounds=[seconds]) for name, seconds in times.items()]
    goal = Goal(at_most=_GOAL_S)
    measures.append(Measure(name="first answer after, s", rounds=[total_s], goal=goal))
    publish("A newcomer's first answer, from a fresh clone", circumstances, measures, results)
    print(f"first answer after {total_s:.0f} s")


def _first_steps(folder: Path) -> dict[str, float]:
    """Return the seconds of each step."""
    checkout, environment = folder / "antiphon", _environment(folder)
    times: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        times[step] = time.monotonic() - began

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchError(f"{shlex.join(words)}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    with timed("git clone"):
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    with _make_up(checkout, environment, timed):
        with timed("./antiphon submit --background"):
            response_id = run("./antiphon", "submit", "--background", _QUESTION)
        with timed("./antiphon wait"):
            answer = run("./antiphon", "wait", response_id)
    if not answer:
        raise BenchError("the answer is empty")
    return times


@contextmanager
def _make_up(checkout: Path, environment: dict[str, str], timed: Timed) -> Iterator[None]:
    """Run `make up` until the context ends, which begins with the banner."""
    output = checkout.parent / "make.out"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            ["make", "up"],
            cwd=checkout,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with timed("make up, to the banner"):
            _wait_for_banner(process, output)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_S)


def _wait_for_banner(process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while _BANNER not in output.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"no banner:\n{output.read_text(errors='replace')[-2000:]}")
        time.sleep(_POLL_S)


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of somebody with an empty home folder."""
    home = folder / "home"
    home.mkdir()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
    # The virtual environment of this process comes first in its path.
    places = [place for place in kept["PATH"].split(os.pathsep) if Path(place) != _BIN]
    return kept | {"HOME": str(home), "PATH": os.pathsep.join(places)}


if __name__ == "__main__":
    typer.run(main)
