"""Passwords of the compose file's services: made once, each for the services that need it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[3] / "deploy" / "make_secrets.sh"
_RANDOM = re.compile(r"[0-9a-f]{48}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for service in ("postgres", "valkey", "server"):
        (tmp_path / service).mkdir()
    return tmp_path


def _make(folder: Path, **variables: str) -> dict[str, str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    subprocess.run(["sh", str(_SCRIPT), str(folder)], env=environment, check=True)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_passwords_are_random_and_reach_the_server_in_its_addresses(folder: Path) -> None:
    secrets = _make(folder)

    postgres, valkey = secrets["postgres/password"], secrets["valkey/password"]
    assert _RANDOM.fullmatch(postgres)
    assert _RANDOM.fullmatch(valkey)
    assert postgres != valkey
    assert secrets == {
        "postgres/password": postgres,
        "valkey/password": valkey,
        "valkey/valkey.conf": f"requirepass {valkey}\n",
        "server/DATABASE_URL": f"postgresql://antiphon:{postgres}@postgres:5432/antiphon",
        "server/REDIS_URL": f"redis://:{valkey}@valkey:6379/0",
    }


def test_secrets_that_exist_stay_as_they_are(folder: Path) -> None:
    first = _make(folder)

    assert _make(folder, POSTGRES_PASSWORD="another") == first


def test_a_password_of_the_operator_is_taken(folder: Path) -> None:
    secrets = _make(folder, POSTGRES_PASSWORD="chosen1")

    assert secrets["postgres/password"] == "chosen1"
    assert "antiphon:chosen1@postgres" in secrets["server/DATABASE_URL"]


def test_a_secret_that_was_half_written_is_made_anew(folder: Path) -> None:
    (folder / "valkey" / "password.new").write_text("half")

    assert _RANDOM.fullmatch(_make(folder)["valkey/password"])
