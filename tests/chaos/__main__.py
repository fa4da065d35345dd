"""Run a chaos test and print its seed and nemesis log: `python -m tests.chaos --jobs 10000`."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos.run import Trial, run_trial


def main() -> int:
    """Run one trial; return exit code 1 if an invariant is violated."""
    # Exit by an exception, so that an interrupted run leaves no process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="a fresh one if not given")
    parser.add_argument("--slice", action="store_true", help="as the continuous integration does")
    parser.add_argument("--engine", choices=("scripted", "vllm"), default="scripted")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--every", type=float, nargs=2, default=(5.0, 15.0), metavar="SECONDS")
    parser.add_argument("--only", default="", help="faults whose name begins so")
    parser.add_argument("--mutant", default=None, help="a guarantee to switch off")
    parser.add_argument("--keep", type=Path, help="folder for the logs and the history")
    given = parser.parse_args()
    seed = random.randrange(2**31) if given.seed is None else given.seed
    print(f"chaos seed {seed}", flush=True)
    trial = Trial.slice(seed) if given.slice else _trial(seed, given)
    keep = given.keep or Path(tempfile.mkdtemp(prefix="antiphon-chaos-"))
    outcome = run_trial(replace(trial, mutant=given.mutant), keep)
    print(outcome.report())
    if outcome.breaks:
        print(f"logs and history: {keep}")
        return 1
    if given.keep is None:
        shutil.rmtree(keep)
    return 0


def _trial(seed: int, given: argparse.Namespace) -> Trial:
    if given.engine == "vllm":
        return replace(Trial.with_vllm(seed), num_jobs=given.jobs, only=given.only)
    return Trial(
        seed=seed,
        num_jobs=given.jobs,
        num_workers=given.workers,
        num_clients=given.clients,
        every_s=tuple(given.every),
        only=given.only,
    )


if __name__ == "__main__":
    sys.exit(main())
