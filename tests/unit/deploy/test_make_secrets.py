"""Passwords of the compose file's services: made once, each for the services that need it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[3] / "deploy" / "make_secrets.sh"
_ROLES = ("owner", "app", "maintenance")
_RANDOM = re.compile(r"[0-9a-f]{48}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for service in ("postgres", "valkey", "roles", "worker", *_ROLES):
        (tmp_path / service).mkdir()
    return tmp_path


def _make(folder: Path, **variables: str) -> dict[str, str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    subprocess.run(["sh", str(_SCRIPT), str(folder)], env=environment, check=True)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_passwords_are_random_and_reach_the_server_in_its_addresses(folder: Path) -> None:
    secrets = _make(folder)

    passwords = [secrets["postgres/password"], secrets["valkey/password"]]
    passwords += [secrets[f"roles/antiphon_{role}"] for role in _ROLES]
    assert all(map(_RANDOM.fullmatch, passwords))
    assert len({*passwords}) == len(passwords)
    assert secrets["valkey/valkey.conf"] == f"requirepass {passwords[1]}\n"
    assert secrets["roles/DATABASE_URL"] == _database_url("antiphon", passwords[0])
    for role, password in zip(_ROLES, passwords[2:], strict=True):
        assert secrets[f"{role}/DATABASE_URL"] == _database_url(f"antiphon_{role}", password)
    for service in (*_ROLES, "worker"):
        assert secrets[f"{service}/REDIS_URL"] == f"redis://:{passwords[1]}@valkey:6379/0"
        assert secrets[f"{service}/secret"] == secrets["roles/secret"]
    assert _RANDOM.fullmatch(secrets["roles/secret"])


def _database_url(user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@postgres:5432/antiphon"


def test_no_service_but_that_of_the_roles_sees_the_superusers_password(folder: Path) -> None:
    secrets = _make(folder)

    password = secrets["postgres/password"]
    seen = {name.partition("/")[0] for name, text in secrets.items() if password in text}
    assert seen == {"postgres", "roles"}


def test_workers_alone_have_two_addresses_of_the_database(folder: Path) -> None:
    secrets = _make(folder)

    assert secrets["worker/DATABASE_URL"] == secrets["app/DATABASE_URL"]
    assert secrets["worker/DATABASE_MAINTENANCE_URL"] == secrets["maintenance/DATABASE_URL"]
    assert [name for name in secrets if name.endswith("MAINTENANCE_URL")] == [
        "worker/DATABASE_MAINTENANCE_URL"
    ]


def test_secrets_that_exist_stay_as_they_are(folder: Path) -> None:
    first = _make(folder)

    assert _make(folder, POSTGRES_PASSWORD="another") == first


def test_a_password_of_the_operator_is_taken(folder: Path) -> None:
    secrets = _make(folder, POSTGRES_PASSWORD="chosen1")

    assert secrets["postgres/password"] == "chosen1"
    assert "antiphon:chosen1@postgres" in secrets["roles/DATABASE_URL"]


def test_a_secret_that_was_half_written_is_made_anew(folder: Path) -> None:
    (folder / "valkey" / "password.new").write_text("half")

    assert _RANDOM.fullmatch(_make(folder)["valkey/password"])
