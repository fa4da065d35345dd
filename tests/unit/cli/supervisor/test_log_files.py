"""Log files: rotated by copy, since the processes keep them open."""

import shutil
from pathlib import Path

import pytest

from cli.supervisor.log_files import NUM_OLD, rotate


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text()[:3] for path in folder.iterdir()}


def test_a_log_is_rotated_once_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("1" * 10)
    (tmp_path / "other.txt").write_text("1" * 100)

    rotate(tmp_path, max_bytes=10)
    assert not (tmp_path / "api.log.1").exists()
    rotate(tmp_path, max_bytes=9)

    assert contents(tmp_path) == {"api.log": "", "api.log.1": "111", "other.txt": "111"}


def test_a_process_goes_on_appending_to_the_same_file(tmp_path: Path) -> None:
    with (tmp_path / "api.log").open("a") as log:
        for number in range(NUM_OLD + 3):
            log.write(str(number) * 10)
            log.flush()
            rotate(tmp_path, max_bytes=9)

        log.write("now")

    assert contents(tmp_path) == {
        "api.log": "now",
        "api.log.1": "555",
        "api.log.2": "444",
        "api.log.3": "333",
    }


def test_a_log_that_cannot_be_copied_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", fail)
    (tmp_path / "api.log").write_text("1" * 10)

    rotate(tmp_path, max_bytes=9)

    assert contents(tmp_path) == {"api.log": ""}
