"""Rotation of the secret file of a running server: no request fails meanwhile."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from models.encryption.vault import SecretVault, owner_of_project
from models.store.store import Store
from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import ROOT, AntiphonServer
from tests.integration.keys import create_key
from tests.polling import eventually

_NEW = "the next secret of the server"


class Requests:
    """Requests one after the other, each of which needs a secret of the database."""

    def __init__(self, server: AntiphonServer, api_key: str) -> None:
        self._client = server.client().with_options(api_key=api_key)
        self._stopping = threading.Event()
        self.statuses: list[str] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        # The API encrypts the key of an unstored response's content, the worker decrypts it.
        while not self._stopping.is_set():
            response = self._client.responses.create(model="default", input="Hi.", store=False)
            self.statuses.append(str(response.status))

    def wait_for(self, num_more: int) -> None:
        """Wait until some more requests have been answered."""
        num = len(self.statuses) + num_more
        eventually(lambda: not self.thread.is_alive() or len(self.statuses) >= num)
        assert self.thread.is_alive(), "a request has failed"

    def stop(self) -> None:
        self._stopping.set()
        self.thread.join()


@contextmanager
def sending(server: AntiphonServer) -> Iterator[Requests]:
    env = env_of(server)
    secret_file = Path(env["ANTIPHON_SECRET_FILE"])
    with closing(Store.open(env["DATABASE_ADMIN_URL"], secret_file=secret_file)) as store:
        api_key = create_key(store).reveal()
    requests = Requests(server, api_key)
    requests.thread.start()
    try:
        yield requests
    finally:
        requests.stop()


def env_of(server: AntiphonServer) -> dict[str, str]:
    """Return the environment that `. run/env` gives."""
    lines = (server.data_dir / "run" / "env").read_text().splitlines()
    return dict(os.environ) | {
        name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)
    }


def rotate(server: AntiphonServer) -> str:
    command = [sys.executable, str(ROOT / "antiphon"), "secrets", "rotate"]
    done = subprocess.run(
        command, env=env_of(server), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def server(make_server: MakeServer) -> AntiphonServer:
    return make_server(api_processes="2", workers="2", script_tokens="3")


def test_a_secret_is_replaced_while_requests_are_answered(
    server: AntiphonServer, tmp_path: Path
) -> None:
    path = server.data_dir / "secret"
    old = path.read_text().strip()
    with sending(server) as requests:
        requests.wait_for(5)
        path.write_text(f"{old}\n{_NEW}\n")
        requests.wait_for(5)
        path.write_text(f"{_NEW}\n{old}\n")
        requests.wait_for(5)
        assert "secrets are encrypted anew" in rotate(server)
        path.write_text(f"{_NEW}\n")
        requests.wait_for(20)

    assert set(requests.statuses) == {"completed"}
    only_new = tmp_path / "only-new"
    only_new.write_text(_NEW)
    vault = SecretVault.load(only_new)
    with psycopg.connect(env_of(server)["DATABASE_ADMIN_URL"]) as connection:
        query = "SELECT project_id, sealing_key FROM projects WHERE sealing_key IS NOT NULL"
        keys = connection.execute(query).fetchall()
        peppers = connection.execute("SELECT pepper FROM api_keys").fetchall()
    assert all(vault.is_current(owner_of_project(project), key) for project, key in keys)
    assert peppers == [(vault.derive("api keys")[0].fingerprint,)]
