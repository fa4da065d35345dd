"""Settings: read from the environment, validated, and refused by the name of their variable."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANTIPHON_HOST", ""),
        ("ANTIPHON_PORT", "0"),
        ("ANTIPHON_PORT", "65536"),
        ("ANTIPHON_PORT", "http"),
        ("ANTIPHON_PORT", ""),
        ("ANTIPHON_MODEL", ""),
        ("ANTIPHON_MODEL_ALIASES", "a"),
        ("ANTIPHON_MODEL_ALIASES", "a="),
        ("ANTIPHON_MODEL_ALIASES", "=b"),
        ("ANTIPHON_MODEL_ALIASES", "a=b,a=c"),
        ("ANTIPHON_DTYPE", "int2"),
        ("ANTIPHON_FORWARD", "jax"),
        ("ANTIPHON_THREADS", "0"),
        ("ANTIPHON_KV_CACHE_DTYPE", "int4"),
        ("ANTIPHON_ENGINE", "jax"),
        ("ANTIPHON_VLLM_ARGS", "tensor_parallel_size=2"),
        ("ANTIPHON_WORKERS", "0"),
        ("ANTIPHON_WORKERS", "65"),
        ("ANTIPHON_API_PROCESSES", "0"),
        ("ANTIPHON_API_THREADS", "3"),
        ("ANTIPHON_MAX_SEQUENCES", "0"),
        ("ANTIPHON_MAX_SEQUENCES", "1.5"),
        ("ANTIPHON_KV_CACHE_GIB", "0"),
        ("ANTIPHON_KV_CACHE_GIB", "nan"),
        ("ANTIPHON_DRAIN_SECONDS", "-1"),
        ("ANTIPHON_RETENTION_DAYS", "0"),
        ("ANTIPHON_LOG_LEVEL", "loud"),
        ("ANTIPHON_SCRIPT_TOKENS", "0"),
        ("ANTIPHON_SCRIPT_INTERVAL_MS", "-1"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert str(raised.value).startswith(f"{variable}={value!r}: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://root:secret@localhost/x"),
        ("DATABASE_URL", "/var/run/secret"),
        ("REDIS_URL", "http://:secret@localhost"),
        (
            "ANTIPHON_MCP_SERVERS",
            '{"a": {"url": "https://a.example", "headers": {"x": "secret\\n"}}}',
        ),
    ],
)
def test_a_bad_address_is_refused_without_the_password_in_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert str(raised.value).startswith(f"{variable}: ")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "variable",
    [
        "ANTIPHON_KV_CACHE_GIB",
        "ANTIPHON_DRAIN_SECONDS",
        "ANTIPHON_RETENTION_DAYS",
        "ANTIPHON_SCRIPT_INTERVAL_MS",
    ],
)
def test_an_amount_without_end_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "inf")

    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_PORT", "http")
    monkeypatch.setenv("REDIS_URL", "localhost")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    names = {re.split("[=:]", line)[0] for line in str(raised.value).splitlines()}
    assert names == {"ANTIPHON_PORT", "REDIS_URL"}


@pytest.mark.parametrize(
    ("value", "aliases"),
    [("", {}), (" a=b , c = owner/d=e ,", {"a": "b", "c": "owner/d=e"})],
)
def test_aliases_are_pairs(
    monkeypatch: pytest.MonkeyPatch, value: str, aliases: dict[str, str]
) -> None:
    monkeypatch.setenv("ANTIPHON_MODEL_ALIASES", value)

    assert load_settings().model_aliases == aliases


def test_without_variables_everything_has_a_default() -> None:
    settings = load_settings()

    assert settings.host == "127.0.0.1"
    assert settings.database_url is None
    assert settings.redis_url is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgres_url_names_our_driver(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://user:a%40b@host:5433/x?sslmode=require")

    url = load_settings().database_url

    assert url == "postgresql+psycopg://user:a%40b@host:5433/x?sslmode=require"


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://h:6380/1", "unix:///run/valkey"])
def test_a_redis_url_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    assert load_settings().redis_url == url


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
def test_an_empty_url_is_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")

    assert getattr(load_settings(), variable.lower()) is None


def test_the_data_folder_does_not_move_with_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_DATA_DIR", "here")

    settings = load_settings()
    monkeypatch.chdir("/")

    assert settings.data_dir == tmp_path / "here"


def test_the_data_folder_may_be_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANTIPHON_DATA_DIR", "~/antiphon")

    assert load_settings().data_dir == tmp_path / "antiphon"


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_what_the_environment_lacks_is_read_from_files_of_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "DATABASE_URL").write_text("postgresql://file/x\n")
    (tmp_path / "REDIS_URL").write_text("redis://file")
    (tmp_path / "ANTIPHON_PORT").write_text("81")
    monkeypatch.setenv("REDIS_URL", "redis://environment")

    settings = load_settings(tmp_path)

    assert settings.database_url == "postgresql+psycopg://file/x"
    assert settings.redis_url == "redis://environment"
    assert settings.port == 81


def test_a_bad_secret_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "REDIS_URL").write_text("http://:password@host")

    with pytest.raises(SettingsError, match=r"^REDIS_URL: ") as raised:
        load_settings(tmp_path)

    assert "password" not in str(raised.value)


def test_no_folder_of_secrets_is_needed(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "missing") == load_settings()
