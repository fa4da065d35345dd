"""Seconds in which `models check` refuses checkpoints of 100 GB: `python -m bench.refusals`.

The files are sparse: headers as those of 60 billion weights, and no weights. Each kind of damage is
judged by the command itself, in a process of its own.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from bench.refusals.gguf_kinds import GGUF_KINDS
from bench.refusals.kind import Kind
from bench.refusals.kinds import KINDS
from bench.report import RESULTS, Circumstances, Goal, Measure, publish

_ROOT = Path(__file__).parents[2]
_GOAL_S = 2.0
_REFUSED = 1


def main(
    rounds: Annotated[int, typer.Option(min=1, help="That each is judged.")] = 3,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure how long it takes to refuse each kind."""
    command = shlex.join(["python", "-m", "bench.refusals", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    measures = [
        Measure(name=f"{name}, s", rounds=_seconds(kind, rounds), goal=Goal(at_most=_GOAL_S))
        for name, kind in (KINDS | GGUF_KINDS).items()
    ]
    publish("Refusals of checkpoints of 100 GB", circumstances, measures, results)


def _seconds(kind: Kind, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="refusals-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        kind.write(folder)
        return [_judge(folder / kind.name, kind.problem) for _ in range(rounds)]


def _judge(model: Path, problem: str) -> float:
    """Return the seconds that the command takes; raise `AssertionError` unless it refuses."""
    command = [sys.executable, str(_ROOT / "antiphon"), "models", "check", str(model)]
    environ = os.environ | {"ANTIPHON_DATA_DIR": str(model.parent / "data")}
    began = time.perf_counter()
    done = subprocess.run(
        command, env=environ, cwd=_ROOT, check=False, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    assert done.returncode == _REFUSED, done.stderr
    assert problem in done.stdout, done.stdout
    return took


if __name__ == "__main__":
    typer.run(main)
