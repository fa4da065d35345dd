"""Roles of the database: what reaches SQL can neither run programs nor change tables."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import APP, MAINTENANCE, OWNER, ROLES
from models.settings import Settings
from tests.acceptance.server import AntiphonServer
from tests.conftest import ROOT, on_database
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import running_app, with_database
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker

_ALL = [
    "COPY projects FROM PROGRAM 'true'",
    "COPY projects TO PROGRAM 'cat'",
    "COPY projects TO '/tmp/stolen'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "ALTER SYSTEM SET fsync = off",
    "CREATE ROLE intruder SUPERUSER",
    f"ALTER ROLE {APP} SUPERUSER",
    "SET ROLE postgres",
    "CREATE DATABASE intruder",
    "CREATE EXTENSION adminpack",
]
_OF_OWNER = [
    "CREATE TABLE intruder (id int)",
    "CREATE TEMPORARY TABLE intruder (id int)",
    "CREATE FUNCTION intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE responses ADD COLUMN intruder int",
    "DROP TABLE webhook_deliveries",
    "TRUNCATE items",
    "UPDATE alembic_version SET version_num = '0001'",
    f"SET ROLE {OWNER}",
    f"GRANT {OWNER} TO {APP}",
    "ALTER FUNCTION drop_month(text) RENAME TO intruder",
]


def refusal(url: str, statement: str) -> str:
    """Return why a statement is refused."""
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.Error) as raised,
    ):
        connection.execute(statement.encode())
    return str(raised.value)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", _ALL)
def test_no_role_reaches_the_machine_or_other_roles(
    postgres: EmbeddedPostgres, database_url: str, role: str, statement: str
) -> None:
    url = on_database(postgres.url_of(role), database_url.rpartition("/")[2])

    assert any(
        reason in refusal(url, statement)
        for reason in ("permission denied", "not available", "must be", "does not exist")
    )


@pytest.fixture(scope="module")
def migrated(postgres: EmbeddedPostgres) -> None:
    """Migrate the first database of the server by the command, as its owner."""
    _migrate(postgres.url_of(OWNER))


@pytest.mark.parametrize("statement", _OF_OWNER)
@pytest.mark.usefixtures("migrated")
def test_the_application_changes_no_table(postgres: EmbeddedPostgres, statement: str) -> None:
    for role in (APP, MAINTENANCE):
        assert any(
            reason in refusal(postgres.url_of(role), statement)
            for reason in ("permission denied", "must be owner")
        )


@pytest.mark.parametrize("statement", ["SELECT drop_month('2020_01')", "SELECT add_month('x')"])
def test_the_application_changes_no_partition(app_url: str, statement: str) -> None:
    assert any(text in refusal(app_url, statement) for text in ("permission", "does not exist"))


@pytest.mark.parametrize("label", ["default", "2026_01; DROP TABLE items", "", "2026_1"])
def test_maintenance_drops_nothing_but_months(maintenance_url: str, label: str) -> None:
    with (
        psycopg.connect(maintenance_url) as connection,
        pytest.raises(psycopg.Error, match="not a month"),
    ):
        connection.execute("SELECT drop_month(%s)", [label])


def test_maintenance_drops_no_month_that_matters(maintenance_url: str, desk: Desk) -> None:
    desk.create()
    [[label]] = desk.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")

    with psycopg.connect(maintenance_url) as connection:
        assert connection.execute("SELECT drop_month(%s)", [label]).fetchone() == (False,)


def _migrate(url: str) -> None:
    environment = os.environ | {"DATABASE_URL": url, "REDIS_URL": "redis://"}
    command = [sys.executable, str(ROOT / "antiphon"), "migrate"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    tmp_path.chmod(0o755)
    with EmbeddedPostgres(tmp_path / "data") as server:
        yield server
    server.discard()


def test_a_database_of_the_superuser_is_handed_over(own_postgres: EmbeddedPostgres) -> None:
    _migrate(own_postgres.url)
    with psycopg.connect(own_postgres.url) as connection:
        connection.execute("INSERT INTO projects (project_id) VALUES ('old')")

    own_postgres.create_roles()
    _migrate(own_postgres.url_of(OWNER))

    # The policies of the owner are those of the new one.
    with psycopg.connect(own_postgres.url_of(OWNER)) as connection:
        connection.execute("SET antiphon.project = '*'")
        found = connection.execute("SELECT project_id FROM projects ORDER BY 1").fetchall()
        owners = connection.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert found == [("default",), ("old",)]
    assert owners == [(OWNER,)]
    with psycopg.connect(own_postgres.url_of(MAINTENANCE)) as connection:
        added = connection.execute(
            "SELECT add_month('2031_01', gen_random_uuid(), 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
        )
        assert added.fetchone() is not None


def _create_roles(url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"DATABASE_URL": url}
    command = [sys.executable, str(ROOT / "antiphon"), "roles", str(folder)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.nightly
def test_the_roles_of_another_database_are_made_by_a_command(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with psycopg.connect(own_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE served")
    served = on_database(own_postgres.url, "served")
    _migrate(served)  # an earlier version served it as superuser
    for role in ROLES:
        (tmp_path / role).write_text(f"secret-of-{role}\n")

    for _ in range(2):
        assert _create_roles(served, tmp_path).returncode == 0

    urls = {role: _with_user(served, role, f"secret-of-{role}") for role in ROLES}
    _migrate(urls[OWNER])
    with psycopg.connect(urls[APP]) as connection:
        assert connection.execute("SELECT count(*) FROM responses").fetchone() == (0,)
    assert "permission denied" in refusal(urls[APP], "COPY projects FROM PROGRAM 'true'")


def _with_user(url: str, user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@{url.rpartition('@')[2]}"


def test_a_role_without_a_password_is_named(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    done = _create_roles(own_postgres.url, tmp_path)

    assert done.returncode == 2
    assert str(tmp_path / OWNER) in done.stderr


def test_who_is_no_superuser_creates_no_role(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    for role in ROLES:
        (tmp_path / role).write_text("secret")

    done = _create_roles(own_postgres.url_of(APP), tmp_path)

    assert done.returncode == 1
    assert "permission denied" in done.stderr


def test_passwords_are_files_of_their_owner_alone(own_postgres: EmbeddedPostgres) -> None:
    files = list(own_postgres.data.parent.glob("pg.*password"))

    assert len(files) == 1 + len(ROLES)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len({path.read_text() for path in files}) == len(files)


@pytest.fixture
def scripted_server(tmp_path: Path) -> Iterator[AntiphonServer]:
    tmp_path.chmod(0o755)
    server = AntiphonServer(tmp_path, engine="scripted")
    server.start()
    yield server
    assert server.stop() == 0


@pytest.mark.nightly
def test_each_process_has_its_role_alone(scripted_server: AntiphonServer) -> None:
    answer = scripted_server.client().responses.create(model="default", input="Hello.")
    assert answer.status == "completed"

    roles = {
        name: _role_of(scripted_server.pid(name)) for name in ("api", "worker-1", "maintenance")
    }

    assert roles == {"api": APP, "worker-1": APP, "maintenance": MAINTENANCE}
    both = [name for name in roles if _has_maintenance_url(scripted_server.pid(name))]
    assert both == ["worker-1"]
    words = shlex.split((scripted_server.data_dir / "run" / "env").read_text())
    assert dict(word.split("=", 1) for word in words)["DATABASE_URL"].split(":")[1] == f"//{APP}"


def _role_of(pid: int) -> str:
    """Return the role in the database address of a process; it has no other address."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    [url] = [line for line in lines if line.startswith(b"DATABASE_URL=")]
    assert b"postgresql://postgres:" not in b"".join(lines)
    return url.decode().split("//")[1].split(":")[0]


def _has_maintenance_url(pid: int) -> bool:
    return f"DATABASE_MAINTENANCE_URL=postgresql://{MAINTENANCE}:".encode() in (
        Path(f"/proc/{pid}/environ").read_bytes()
    )


def test_one_role_for_all_works_too(
    settings: Settings, postgres: EmbeddedPostgres, database_url: str
) -> None:
    """The role of an operator's database may own the tables, and serve all processes."""
    owner_url = on_database(postgres.url_of(OWNER), database_url.rpartition("/")[2])
    alone = with_database(settings, owner_url)

    with running_app(alone) as app, InProcessWorker(alone):
        made = create_and_wait(app.test_client())

    assert made["status"] == "completed"
    with psycopg.connect(owner_url) as connection:
        row = connection.execute(
            "SELECT has_function_privilege('add_month(text, uuid, uuid)', 'execute')"
        ).fetchone()
    assert row == (True,)
