import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app


def _invoke(*arguments: str, **variables: str | None) -> Result:
    cleared = {"DATABASE_URL": None, "REDIS_URL": None}
    return CliRunner().invoke(app, arguments, env=cleared | variables)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANTIPHON_PORT", "http"),
        ("ANTIPHON_WORKERS", "0"),
        ("ANTIPHON_DTYPE", "int2"),
        ("ANTIPHON_ENGINE", "jax"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("REDIS_URL", "http://localhost"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_its_variable(variable: str, value: str) -> None:
    result = _invoke("up", **{variable: value})

    assert result.exit_code == 2
    assert variable in result.stderr


def test_a_new_server_without_a_key_does_not_listen_beyond_loopback(tmp_path: Path) -> None:
    result = _invoke("up", ANTIPHON_HOST="0.0.0.0", ANTIPHON_DATA_DIR=str(tmp_path))

    assert result.exit_code == 2
    assert "ANTIPHON_HOST='0.0.0.0'" in result.stderr
    assert "./antiphon keys create" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_port_that_somebody_else_uses_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        result = _invoke("up", ANTIPHON_PORT=port, ANTIPHON_DATA_DIR=str(tmp_path))

    assert result.exit_code == 2
    assert f"ANTIPHON_PORT={port}" in result.stderr
    assert not (tmp_path / "pg").exists()


@pytest.mark.parametrize("command", ["up", "api"])
def test_a_certificate_that_cannot_be_used_is_reported_before_anything_starts(
    tmp_path: Path, command: str
) -> None:
    files = {"ANTIPHON_TLS_CERT_FILE": "/none.pem", "ANTIPHON_TLS_KEY_FILE": "/none.key"}
    servers = {"DATABASE_URL": "postgresql://localhost/x", "REDIS_URL": "redis://localhost"}
    result = _invoke(command, ANTIPHON_DATA_DIR=str(tmp_path), **files, **servers)

    assert result.exit_code == 2
    assert "ANTIPHON_TLS_CERT_FILE='/none.pem'" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["migrate", "api", "worker", "maintenance"])
def test_a_single_process_needs_the_addresses_of_its_servers(command: str) -> None:
    result = _invoke(command)

    assert result.exit_code == 2
    assert "DATABASE_URL is not set" in result.stderr


def test_pulling_from_a_folder_without_a_config_names_the_folder(tmp_path: Path) -> None:
    result = _invoke("models", "pull", ANTIPHON_MODEL=str(tmp_path))

    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


def test_a_worker_of_a_model_that_is_not_served_names_those_that_are() -> None:
    servers = {"DATABASE_URL": "postgresql://localhost/x", "REDIS_URL": "redis://localhost"}
    result = _invoke(
        "worker", "--model", "c", ANTIPHON_MODEL="a", ANTIPHON_MORE_MODELS="b", **servers
    )

    assert result.exit_code == 2
    assert "c is none of the served models: a, b" in result.stderr


def test_pulling_a_model_by_name_names_it_when_it_is_not_there(tmp_path: Path) -> None:
    file = str(tmp_path / "none.gguf")
    result = _invoke("models", "pull", file, ANTIPHON_DATA_DIR=str(tmp_path))

    assert result.exit_code == 1
    assert file in result.stderr
