import os
from pathlib import Path

import pytest

from cli.supervisor.run_folder import AlreadyRunningError, RunFolder


def test_a_second_owner_is_told_the_pid_and_the_address_of_the_first(tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock():
        RunFolder(tmp_path).write_env({"ANTIPHON_URL": "http://127.0.0.1:8000"})

        with (
            pytest.raises(AlreadyRunningError, match=rf"{os.getpid()}\), http://127.0.0.1:8000"),
            RunFolder(tmp_path).lock(),
        ):
            pass


def test_the_folder_can_be_locked_again_once_its_owner_has_left(tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock():
        pass

    with RunFolder(tmp_path).lock():
        assert (tmp_path / "run" / "supervisor.pid").read_text() == f"{os.getpid()}\n"


def test_nothing_but_the_lock_is_left_behind(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    with folder.lock():
        folder.write_pid("api", 1)
        folder.write_env({"REDIS_URL": "redis://x"})

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["supervisor.lock"]


def test_only_the_owner_can_read_the_addresses(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    with folder.lock():
        folder.write_env({"DATABASE_URL": "postgresql://a:secret@b/c", "REDIS_URL": "redis://x"})
        env = tmp_path / "run" / "env"

        assert env.stat().st_mode & 0o777 == 0o600
        assert env.read_text().splitlines() == [
            "DATABASE_URL=postgresql://a:secret@b/c",
            "REDIS_URL=redis://x",
        ]
