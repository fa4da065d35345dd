from types import SimpleNamespace
from typing import Any

import pytest

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
    heartbeat: Any = SimpleNamespace(is_lease_good=True)
    watchdog = Watchdog(
        engine,
        heartbeat,
        interval_s=60,
        pulse=None,
        on_lease_ending=lambda: None,
        on_end=lambda: ended.append(True),
    )

    watchdog.check()

    assert len(ended) == ends
