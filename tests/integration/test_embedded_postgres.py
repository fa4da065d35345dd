import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres, EmbeddedServerError
from cli.embedded.clusters import remove_clusters


@pytest.fixture(params=[0o755, 0o700], ids=["open-folder", "private-folder"])
def postgres(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """Return a server in a folder that other users can or cannot enter, which matters as root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(request.param)
        server = EmbeddedPostgres(Path(folder) / "data")
        yield server
        server.stop()
        server.discard()


def test_it_works(postgres: EmbeddedPostgres) -> None:
    with postgres, psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT current_setting('fsync')").fetchone()

    assert row == ("on",)


def test_what_was_committed_is_there_after_a_kill_and_a_start_on_the_same_folder(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert postgres.process is not None
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    os.kill(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait()

    postgres.start()

    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)


def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres) -> None:
    with postgres:
        wrong = f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres"

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_stop_leaves_no_process_and_the_files_private(postgres: EmbeddedPostgres) -> None:
    with postgres:
        process = postgres.process

    assert process is not None
    assert process.returncode == 0
    assert postgres.data.stat().st_mode & 0o777 == 0o700
    assert postgres.data.with_name("pg.password").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's clusters are outside data folders")
def test_the_clusters_of_unwanted_data_folders_are_deleted(tmp_path: Path) -> None:
    wanted, unwanted = (EmbeddedPostgres(tmp_path / name) for name in ("wanted", "unwanted"))
    for server in (wanted, unwanted):
        server.prepare()

    remove_clusters(lambda folder: folder == (tmp_path / "unwanted").resolve())

    assert (wanted.data.exists(), unwanted.data.parent.exists()) == (True, False)
    wanted.discard()
    assert not wanted.data.parent.exists()


def test_a_failed_start_says_why(postgres: EmbeddedPostgres) -> None:
    postgres.prepare()
    (postgres.data / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(EmbeddedServerError, match="no_such_setting"):
        postgres.start(ready_timeout_s=0.5)
