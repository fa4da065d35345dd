"""Benchmark of the engines of two checkouts: `python -m bench.engines.checkouts --before FOLDER`.

Both are loaded at once, each in a process of its own, and run the same batches in turn: what slows
the machine down meets both. Speeds are per second of CPU time.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError

_CHILD = Path(__file__).with_name("checkout_child.py")
_ROOT = Path(__file__).parents[2]
_WEIGHTS = Path(".antiphon/weights/SmolLM2-135M-Instruct")
_COUNTS = [1, 8, 32]
_NUM_TOKENS = 64
_GOAL = Goal(at_least=0.98)


class CheckoutEngine:
    """Engine in the process of a checkout."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tokens_per_s(self, count: int, num_tokens: int) -> float:
        """Run a batch of `count` prompts; raise `BenchError` if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([count, num_tokens]) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise BenchError(f"{shlex.join(map(str, self._process.args))} has ended")  # type: ignore[arg-type]
        return float(line)


@contextmanager
def _engine_of(root: Path, weights: Path, forward: str) -> Iterator[CheckoutEngine]:
    command = [sys.executable, "-P", str(_CHILD), str(weights.resolve()), forward]
    environment = os.environ | {"PYTHONPATH": str(root.resolve())}
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield CheckoutEngine(process)  # which ends at the end of its input


def _measures(
    now: CheckoutEngine, before: CheckoutEngine, name: str, count: int, rounds: int
) -> list[Measure]:
    pairs = []
    for number in range(rounds + 1):
        order = (now, before) if number % 2 else (before, now)
        speeds = {engine: engine.tokens_per_s(count, _NUM_TOKENS) for engine in order}
        pairs.append((speeds[now], speeds[before]))
    pairs = pairs[1:]  # the first warms up
    ratios = [speed / speed_before for speed, speed_before in pairs]
    return [
        Measure(name=f"{count} greedy, {name}: tokens/s", rounds=[speed for speed, _ in pairs]),
        Measure(name=f"{count} greedy, {name}: over before", rounds=ratios, goal=_GOAL),
    ]


def main(
    before: Annotated[Path, typer.Option(help="The checkout to compare with.")],
    weights: Annotated[Path, typer.Option(help="A folder of weights.")] = _WEIGHTS,
    forward: Annotated[list[str] | None, typer.Option(help="openvino, torch or both.")] = None,
    counts: Annotated[list[int] | None, typer.Option(min=1, help="1, 8 and 32 by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s of greedy batches in this checkout and an earlier one."""
    command = shlex.join(["python", "-m", "bench.engines.checkouts", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    measures: list[Measure] = []
    for name in forward or ["openvino", "torch"]:
        with ExitStack() as stack:
            engines = [
                stack.enter_context(_engine_of(root, weights, name)) for root in (_ROOT, before)
            ]
            for count in counts or _COUNTS:
                measures += _measures(engines[0], engines[1], name, count, rounds)
    publish(f"Engines of two checkouts: {weights.name}", circumstances, measures, results)


if __name__ == "__main__":
    typer.run(main)
