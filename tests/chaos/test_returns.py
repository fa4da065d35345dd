"""Measurement of the time until service is back."""

from pathlib import Path

import pytest

from tests.chaos.returns import Return, is_disturbed_by
from tests.chaos.worker_kills import WorkerKills, read_kills

_LOG = """\
2026-11-29 23:29:04,100 INFO worker-1 started, pid 9714
2026-11-29 23:29:04,200 INFO worker-2 started, pid 9715
2026-11-29 23:29:33,431 WARNING worker-2 was killed by SIGKILL; restart in 1.0 s
2026-11-29 23:29:33,553 INFO leases of pid 9715 ended, 23 responses reclaimed
"""


@pytest.mark.parametrize(
    ("log", "kills"),
    [
        ("", WorkerKills(0, is_any_away=False)),
        (_LOG, WorkerKills(1, is_any_away=True)),
        (_LOG + "INFO worker-2 started, pid 11289\n", WorkerKills(1, is_any_away=False)),
        (_LOG + "WARNING worker-1 exited with code 0\n", WorkerKills(1, is_any_away=True)),
    ],
)
def test_kills_are_read_from_the_log(tmp_path: Path, log: str, kills: WorkerKills) -> None:
    (tmp_path / "supervisor.log").write_text(log)

    assert read_kills(tmp_path / "supervisor.log") == kills


@pytest.mark.parametrize(
    ("before", "after", "is_disturbed"),
    [
        (WorkerKills(3, is_any_away=False), WorkerKills(3, is_any_away=False), False),
        (WorkerKills(3, is_any_away=True), WorkerKills(3, is_any_away=False), True),
        (WorkerKills(3, is_any_away=False), WorkerKills(4, is_any_away=True), True),
    ],
)
def test_a_killed_worker_disturbs(
    before: WorkerKills, after: WorkerKills, is_disturbed: bool
) -> None:
    assert is_disturbed_by(before, after) == is_disturbed


def test_a_disturbed_return_says_so() -> None:
    assert str(Return("valkey password", 0.0, 1.5, is_disturbed=True)).endswith("(disturbed)")
