"""Which server the commands call, and with which key."""

from pathlib import Path

import pytest

from cli.client import target
from cli.client.target import find_target
from cli.supervisor.run_folder import RunFolder
from models.settings import SettingsError

_VARIABLES = (
    *("ANTIPHON_BASE_URL", "ANTIPHON_URL", "ANTIPHON_API_KEY"),
    *("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTIPHON_PORT"),
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in _VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ANTIPHON_DATA_DIR", str(tmp_path))


def test_the_option_comes_first_then_ours_then_those_of_openai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for variable in ("OPENAI_BASE_URL", "ANTIPHON_URL", "ANTIPHON_BASE_URL"):
        monkeypatch.setenv(variable, f"http://{variable.lower()}/v1")
        at = find_target()
        found.append((at.url, at.url_origin))
    at = find_target("https://option:8/")

    assert found == [
        (f"http://{variable.lower()}", variable)
        for variable in ("OPENAI_BASE_URL", "ANTIPHON_URL", "ANTIPHON_BASE_URL")
    ]
    assert (at.url, at.base_url, at.url_origin) == (
        "https://option:8",
        "https://option:8/v1",
        "--base-url",
    )


def test_keys_have_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert find_target("http://x").key == "sk-openai"
    monkeypatch.setenv("ANTIPHON_API_KEY", "sk-ours")
    assert find_target("http://x").key == "sk-ours"
    assert find_target("http://x", "sk-option").key == "sk-option"


def test_a_key_of_openai_is_never_sent_to_the_server_that_was_found_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")

    assert (find_target().key, find_target().key_origin) == ("", "none")


def test_a_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(find_target("http://x", "sk-secret"))


def test_the_server_of_the_data_folder_is_found(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.lock():
        folder.write_env({"REDIS_URL": "redis://x", "ANTIPHON_URL": "http://127.0.0.1:8123"})

        at = find_target()

    assert (at.url, at.is_local) == ("http://127.0.0.1:8123", True)
    assert at.url_origin == str(tmp_path / "run" / "env")


def test_that_of_the_checkout_is_found_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ANTIPHON_DATA_DIR")
    monkeypatch.setattr(target, "_CHECKOUT", tmp_path / "checkout")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = RunFolder(tmp_path / "checkout" / ".antiphon")
    with folder.lock():
        folder.write_env({"ANTIPHON_URL": "http://127.0.0.1:8124"})

        assert find_target().url == "http://127.0.0.1:8124"


def test_without_a_running_server_it_is_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTIPHON_PORT", "8125")

    assert (find_target().url, find_target().url_origin) == ("http://127.0.0.1:8125", "settings")
    monkeypatch.setenv("ANTIPHON_PORT", "none")
    with pytest.raises(SettingsError, match="ANTIPHON_PORT"):
        find_target()
    assert find_target("http://x").url == "http://x"
