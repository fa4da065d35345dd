"""Who may use a server without a key: nobody on addresses that others reach, unless it is set."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.embedded.ports import free_port
from cli.main import app as commands
from models.access.scopes import ALL_SCOPES
from models.access.tokens import Token, parse_token
from models.settings import Settings
from models.store.store import Store
from tests.integration.conftest import NO_DATABASE, running_app
from tests.integration.keys import bearer, create_key
from tests.polling import PATIENCE_S, eventually

ROOT = Path(__file__).parents[4]
WIDE = "0.0.0.0"


def environment(settings: Settings, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "ANTIPHON_SECRET_FILE": str(settings.secret_file),
        "ANTIPHON_DATA_DIR": str(settings.data_dir),
        "ANTIPHON_ENGINE": "scripted",
        **more,
    }


def status_of(port: int, token: Token | None = None) -> int:
    headers = bearer(token) if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextmanager
def api_process(settings: Settings, **more: str) -> Iterator[int]:
    """Run `antiphon api` on all addresses; yield its port once it answers."""
    port = free_port()
    variables = environment(
        settings,
        ANTIPHON_HOST=WIDE,
        ANTIPHON_PORT=str(port),
        ANTIPHON_API_PROCESSES="1",
        **more,
    )
    command = [sys.executable, str(ROOT / "antiphon"), "api"]
    with subprocess.Popen(command, env=os.environ | variables, cwd=ROOT) as process:
        try:
            eventually(lambda: process.poll() is not None or status_of(port), within_s=PATIENCE_S)
            assert process.poll() is None, "it did not start"
            yield port
        finally:
            process.send_signal(signal.SIGTERM)


def invoke(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(commands, words, env=variables)


def test_the_api_does_not_listen_beyond_loopback_without_a_key(settings: Settings) -> None:
    result = invoke("api", **environment(settings, ANTIPHON_HOST=WIDE))

    assert result.exit_code == 2
    for word in (WIDE, "keys create", "BOOTSTRAP_KEY_FILE", "OPEN_BEYOND_LOOPBACK"):
        assert word in result.stderr


def test_it_does_once_a_key_exists_and_needs_it(settings: Settings, key_store: Store) -> None:
    token = create_key(key_store)

    with api_process(settings) as port:
        assert status_of(port) == 401
        assert status_of(port, token) == 200


@pytest.mark.nightly
def test_it_does_if_it_is_told_to_and_is_open_until_a_key_exists(
    settings: Settings, key_store: Store
) -> None:
    with api_process(settings, ANTIPHON_OPEN_BEYOND_LOOPBACK="true") as port:
        assert status_of(port) == 200

        token = create_key(key_store)

        eventually(lambda: status_of(port) == 401, within_s=20)
        assert status_of(port, token) == 200


@pytest.mark.nightly
def test_while_the_database_is_away_it_starts_and_lets_nobody_in(settings: Settings) -> None:
    away = settings.model_copy(update=NO_DATABASE)

    with api_process(away) as port:
        assert status_of(port) == 401


def test_a_closed_server_stays_closed_although_no_key_exists(settings: Settings) -> None:
    with running_app(settings.model_copy(update={"host": WIDE})) as app:
        assert app.test_client().get("/v1/models").status_code == 401
        assert app.test_client().get("/livez").status_code == 200


@pytest.fixture
def migrate_variables(settings: Settings, database_url: str, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "keys" / "bootstrap"
    path.parent.mkdir()
    variables = environment(settings, ANTIPHON_BOOTSTRAP_KEY_FILE=str(path))
    return variables | {"DATABASE_URL": database_url}


def bootstrap(variables: dict[str, str]) -> str:
    result = invoke("migrate", **variables)
    assert result.exit_code == 0, result.output
    path = Path(variables["ANTIPHON_BOOTSTRAP_KEY_FILE"])
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


@pytest.mark.parametrize("is_there", [True, False])
def test_migrate_writes_the_first_key_into_a_file(
    migrate_variables: dict[str, str], key_store: Store, is_there: bool
) -> None:
    if is_there:
        Path(migrate_variables["ANTIPHON_BOOTSTRAP_KEY_FILE"]).touch()

    token = parse_token(bootstrap(migrate_variables))

    assert token is not None
    key = key_store.api_keys.find(token.id)
    assert key is not None
    assert (key.project_id, key.scopes, key.created_by) == ("default", ALL_SCOPES, "bootstrap")
    assert bootstrap(migrate_variables) == token.reveal()
    assert len(key_store.api_keys.list_keys()) == 1
    assert [entry.action for entry in key_store.audit.list_entries(limit=9)] == ["key.create"]


def test_migrate_registers_the_key_that_a_file_holds(
    migrate_variables: dict[str, str], key_store: Store
) -> None:
    token = Token.new()
    path = Path(migrate_variables["ANTIPHON_BOOTSTRAP_KEY_FILE"])
    path.write_text(token.reveal() + "\n")
    path.chmod(0o600)

    assert bootstrap(migrate_variables) == token.reveal()

    assert key_store.api_keys.find(token.id) is not None


def test_a_revoked_bootstrap_key_stays_revoked(
    migrate_variables: dict[str, str], key_store: Store
) -> None:
    token = parse_token(bootstrap(migrate_variables))
    assert token is not None
    key_store.api_keys.revoke(token.id)

    bootstrap(migrate_variables)

    assert key_store.api_keys.find(token.id) is None


@pytest.mark.parametrize("content", ["a password", Token.new().reveal() + "x"])
def test_a_file_with_anything_else_is_refused(
    migrate_variables: dict[str, str], content: str
) -> None:
    Path(migrate_variables["ANTIPHON_BOOTSTRAP_KEY_FILE"]).write_text(content)

    result = invoke("migrate", **migrate_variables)

    assert result.exit_code == 2
    assert "ANTIPHON_BOOTSTRAP_KEY_FILE" in result.stderr
    assert content not in result.stderr


def test_the_id_of_another_key_is_refused(
    migrate_variables: dict[str, str], key_store: Store
) -> None:
    known = create_key(key_store)
    forged = Token(known.id, Token.new().secret)
    Path(migrate_variables["ANTIPHON_BOOTSTRAP_KEY_FILE"]).write_text(forged.reveal())

    assert invoke("migrate", **migrate_variables).exit_code == 2


def test_a_file_that_cannot_be_written_is_told(migrate_variables: dict[str, str]) -> None:
    nowhere = {"ANTIPHON_BOOTSTRAP_KEY_FILE": "/nowhere/at/all"}

    result = invoke("migrate", **migrate_variables | nowhere)

    assert result.exit_code == 2
    assert "ANTIPHON_BOOTSTRAP_KEY_FILE" in result.stderr


def test_a_key_needs_the_secret_file(migrate_variables: dict[str, str]) -> None:
    variables = migrate_variables | {"ANTIPHON_SECRET_FILE": ""}
    del variables["ANTIPHON_SECRET_FILE"]

    result = invoke("migrate", **variables)

    assert result.exit_code == 2
    assert "ANTIPHON_SECRET_FILE" in result.stderr


def test_a_bootstrap_key_lets_in(
    migrate_variables: dict[str, str], settings: Settings, key_store: Store
) -> None:
    key = bootstrap(migrate_variables)

    with closing(key_store), running_app(settings.model_copy(update={"host": WIDE})) as app:
        headers = {"Authorization": f"Bearer {key}"}
        assert app.test_client().get("/v1/models", headers=headers).status_code == 200
