"""A server of one machine is opened to others: its first key, and the address it listens on."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import ROOT, AntiphonServer
from tests.polling import PATIENCE_S

_ANY = "0.0.0.0"


def _run(server: AntiphonServer, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "antiphon"), *words]
    return subprocess.run(
        command,
        env=server.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def _status(server: AntiphonServer, key: str = "") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{server.url}/v1/models", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _smoke(server: AntiphonServer, key: str) -> int:
    command = [sys.executable, "deploy/smoke.py", server.url]
    environment = server.environment | {"ANTIPHON_API_KEY": key}
    return subprocess.run(command, env=environment, cwd=ROOT, timeout=PATIENCE_S).returncode


@pytest.mark.nightly
def test_a_server_listens_beyond_loopback_once_a_key_exists(make_server: MakeServer) -> None:
    first = make_server()
    assert "open on loopback" in first.output
    assert first.stop() == 0
    refused = _run(AntiphonServer(first.data_dir, engine="scripted", host=_ANY), "up")
    assert refused.returncode == 2
    assert "./antiphon keys create" in refused.stderr

    first.start()
    made = _run(first, "keys", "create", "--scope", "responses:read", "--scope", "responses:write")
    key = made.stdout.split()[2]
    assert first.stop() == 0
    server = AntiphonServer(first.data_dir, engine="scripted", host=_ANY)
    server.start()
    try:
        assert "needs an API key" in server.output
        assert (_status(server), _status(server, key)) == (401, 200)
        assert _smoke(server, key) == 0
    finally:
        assert server.stop() == 0


@pytest.mark.nightly
def test_who_has_lost_the_key_makes_another_in_the_database(make_server: MakeServer) -> None:
    server = make_server()
    assert _run(server, "keys", "create").returncode == 0

    made = _run(server, "keys", "create", "--scope", "admin", "--database")

    assert made.returncode == 0, made.stderr
    key = made.stdout.split()[2]
    listed = _run(server, "keys", "list", "--key", key)
    assert len(listed.stdout.splitlines()) == 2, listed.stderr


@pytest.mark.nightly
def test_a_bootstrap_key_opens_a_new_server(make_server: MakeServer, tmp_path: Path) -> None:
    path = tmp_path / "key"

    server = make_server(host=_ANY, bootstrap_key_file=str(path))

    assert (_status(server), _status(server, path.read_text().strip())) == (401, 200)
