"""What newcomers can get wrong on their first day: each is told in one line, with the fix."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from cli.embedded.ports import free_port
from cli.main import app

_ROOT = Path(__file__).parents[4]
_PYENV = Path(os.environ.get("PYENV_ROOT", "/root/.pyenv")) / "versions"
_OLD_PYTHONS = sorted(_PYENV.glob("3.[6-9].*/bin/python3")) + sorted(
    _PYENV.glob("3.10.*/bin/python3")
)


def up(data_dir: Path, **variables: str) -> Result:
    environment = {
        "ANTIPHON_DATA_DIR": str(data_dir),
        "ANTIPHON_PORT": str(free_port()),
        "ANTIPHON_ENGINE": "scripted",
        **variables,
    }
    return CliRunner().invoke(app, ["up"], env=environment)


def one_line(result: Result, *, code: int = 2) -> str:
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()

    message = one_line(up(tmp_path))

    assert "files of something else: thesis.doc; name an empty folder" in message
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "is no folder" in one_line(up(tmp_path / "file"))
    assert "cannot be created" in one_line(up(tmp_path / "file" / "below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_told_with_its_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    assert "is not writable for this user" in one_line(up(tmp_path))


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1 << 28, total=1 << 40)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    message = one_line(up(tmp_path / "new"))

    assert "0.2 GiB are free on the disk" in message
    assert "ANTIPHON_DATA_DIR" in message
    assert not (tmp_path / "new").exists()


def test_a_database_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("9\n")

    assert "is a database of Postgres 9" in one_line(up(tmp_path))


def test_another_instance_is_named_with_the_ways_out(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "supervisor.pid").write_text("4321\n")
    with (tmp_path / "run" / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        message = one_line(up(tmp_path), code=1)

    assert "already running (pid 4321); use it, stop it (kill 4321), or set" in message


@pytest.mark.parametrize("python", _OLD_PYTHONS, ids=str)
def test_an_old_python_is_told_what_to_do(tmp_path: Path, python: Path) -> None:
    """Without a virtual environment; the script itself must be in the grammar of each."""
    shutil.copy(_ROOT / "antiphon", tmp_path)

    done = subprocess.run([python, tmp_path / "antiphon", "up"], capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("Antiphon needs Python 3.11 or newer, and this is 3.")
    assert done.stderr.count("\n") == 1


def test_a_checkout_in_which_nothing_is_installed_says_what_installs_it(tmp_path: Path) -> None:
    shutil.copy(_ROOT / "antiphon", tmp_path)
    python = Path(os.path.realpath(_ROOT / ".venv" / "bin" / "python"))

    done = subprocess.run(
        [python, "-I", "-S", tmp_path / "antiphon", "up"], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "run `make up` first" in done.stderr
    assert done.stderr.count("\n") == 1
