"""Short chaos run with a new seed each time; `make chaos` is the long one."""

import random

import pytest

from tests.chaos.run import Trial, run_trial


@pytest.mark.timeout(240)
def test_no_invariant_breaks_under_faults(capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.randrange(2**31)
    with capsys.disabled():
        print(f"\nchaos seed {seed}: again with python -m tests.chaos --slice --seed {seed}")

    outcome = run_trial(Trial.slice(seed))

    assert not outcome.breaks, outcome.report()
