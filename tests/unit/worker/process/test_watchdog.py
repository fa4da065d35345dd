from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worker.process.timings import WorkerTimings
from worker.process.watchdog import Watchdog


@pytest.mark.parametrize(
    ("state", "ends"),
    [({}, 0), ({"is_stuck": True}, 1), ({"is_lost": True}, 1)],
    ids=["well", "hung", "device lost"],
)
def test_the_process_ends_when_nothing_more_can_come_of_it(
    state: dict[str, bool], ends: int
) -> None:
    ended: list[bool] = []
    well = {"is_stuck": False, "is_lost": False, "last_step_age_s": None, "num_running": 1}
    engine: Any = SimpleNamespace(**{**well, **state})
    heartbeat: Any = SimpleNamespace(is_lease_good=True, last_attempt_age_s=0.0)
    watchdog = Watchdog(
        engine,
        heartbeat,
        timings=WorkerTimings(watchdog_s=60),
        pulse=None,
        on_lease_ending=lambda: None,
        on_end=lambda: ended.append(True),
    )

    watchdog.check()

    assert len(ended) == ends


@pytest.mark.parametrize(
    ("age_s", "is_stuck", "beats"),
    [(0.0, False, True), (31.0, False, False), (0.0, True, False)],
    ids=["well", "no try to renew the lease", "no step"],
)
def test_the_pulse_says_that_the_worker_can_renew_its_lease_and_step(
    tmp_path: Path, age_s: float, is_stuck: bool, beats: bool
) -> None:
    engine: Any = SimpleNamespace(
        is_stuck=is_stuck, is_lost=False, last_step_age_s=None, num_running=0
    )
    heartbeat: Any = SimpleNamespace(is_lease_good=True, last_attempt_age_s=age_s)
    pulse = tmp_path / "pulse"
    watchdog = Watchdog(
        engine,
        heartbeat,
        timings=WorkerTimings(beat_limit_s=30),
        pulse=pulse,
        on_lease_ending=lambda: None,
        on_end=lambda: None,
    )

    watchdog.check()

    assert pulse.exists() is beats
