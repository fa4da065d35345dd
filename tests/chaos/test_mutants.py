"""The checker detects every guarantee that is switched off. `make nightly`."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.chaos.build import ROOT
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import run_trial
from tests.chaos.scenarios import CASES, CONTROLS
from tests.pgbouncer import BINARY

_APPLY = """
import importlib, sys
from tests.chaos.mutants import MUTANTS
for name, patch in MUTANTS[sys.argv[1]].items():
    patch(importlib.import_module(name))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", CASES)
def test_a_guarantee_switched_off_is_found(mutant: str) -> None:
    trial, invariant = CASES[mutant]

    outcome = run_trial(replace(trial, mutant=mutant))

    assert any(name.startswith(f"{invariant} ") for name in outcome.breaks), outcome.report()


@pytest.mark.nightly
@pytest.mark.parametrize("faults", CONTROLS)
def test_the_same_faults_break_nothing_else(faults: str) -> None:
    trial, mutant = CONTROLS[faults]
    if trial.is_pooled and BINARY is None:
        pytest.skip("PgBouncer is not installed")

    outcome = run_trial(replace(trial, mutant=mutant))

    assert not outcome.breaks, outcome.report()


def test_every_mutant_has_a_case() -> None:
    assert set(MUTANTS) == {*CASES, "self-stop", "wake-ups"}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_replaces_what_is_there(mutant: str) -> None:
    """Code that has moved is noticed here, and not only by the nightly runs."""
    command = [sys.executable, "-c", _APPLY, mutant]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
