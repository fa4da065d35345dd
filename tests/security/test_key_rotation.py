"""Rotation of the files of keys of a running server: no request fails meanwhile."""

import base64
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
from tests.content_keys import CONTENT_KEY
from tests.integration.keys import create_key
from tests.polling import eventually

_NEW = "the next secret of the server"
_NEW_CONTENT_KEY = base64.b64encode(b"n" * 32).decode()
_ASKED = "canary-of-the-first"


class Requests:
    """Requests one after the other, each of which needs a secret of the database, and content."""

    def __init__(self, server: AntiphonServer, api_key: str) -> None:
        self._client = server.client().with_options(api_key=api_key)
        self._stopping = threading.Event()
        self._first = self._client.responses.create(model="default", input=_ASKED)
        self.results: list[tuple[str, str]] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.results.append(self._ask())

    def _ask(self) -> tuple[str, str]:
        """Return the statuses of two new responses; read the first one, and what it was asked."""
        responses = self._client.responses
        # The API encrypts the key of an unstored response's content, the worker decrypts it.
        unstored = responses.create(model="default", input="Hi.", store=False)
        stored = responses.create(
            model="default", input="Go on.", previous_response_id=self._first.id
        )
        assert responses.retrieve(self._first.id).output_text == self._first.output_text
        [asked] = responses.input_items.list(self._first.id).data
        assert _ASKED in asked.model_dump_json()
        return str(unstored.status), str(stored.status)

    def wait_for(self, num_more: int) -> None:
        """Wait until some more requests have been answered."""
        num = len(self.results) + num_more
        eventually(lambda: not self.thread.is_alive() or len(self.results) >= num)
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
    assert set(requests.results) == {("completed", "completed")}


def env_of(server: AntiphonServer) -> dict[str, str]:
    """Return the environment that `. run/env` gives."""
    lines = (server.data_dir / "run" / "env").read_text().splitlines()
    return dict(os.environ) | {
        name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)
    }


def run(server: AntiphonServer, command: str) -> str:
    """Run `./antiphon secrets …`; return what it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "antiphon"), "secrets", command],
        env=env_of(server),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def count(server: AntiphonServer, needle: str) -> int:
    """Return the number of items that have a text in the clear."""
    with psycopg.connect(env_of(server)["DATABASE_ADMIN_URL"]) as connection:
        query = "SELECT count(*) FROM items WHERE position(%s IN body::text) > 0"
        [[num]] = connection.execute(query, [needle])
    return int(num)


def has_data_key(server: AntiphonServer) -> bool:
    """Return True once content is encrypted."""
    with psycopg.connect(env_of(server)["DATABASE_ADMIN_URL"]) as connection:
        [[num]] = connection.execute("SELECT count(data_key) FROM projects")
    return int(num) > 0


@pytest.fixture
def content_keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "content-keys"
    path.write_text("# a key comes here\n")
    return path


@pytest.fixture
def server(make_server: MakeServer, content_keys_file: Path) -> AntiphonServer:
    return make_server(
        api_processes="2",
        workers="2",
        script_tokens="3",
        content_keys_file=str(content_keys_file),
    )


@pytest.mark.nightly
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
        assert "secrets are encrypted anew" in run(server, "rotate")
        path.write_text(f"{_NEW}\n")
        requests.wait_for(20)

    only_new = tmp_path / "only-new"
    only_new.write_text(_NEW)
    vault = SecretVault.load(only_new)
    with psycopg.connect(env_of(server)["DATABASE_ADMIN_URL"]) as connection:
        query = "SELECT project_id, sealing_key FROM projects WHERE sealing_key IS NOT NULL"
        keys = connection.execute(query).fetchall()
        peppers = connection.execute("SELECT pepper FROM api_keys").fetchall()
    assert all(vault.is_current(owner_of_project(project), key) for project, key in keys)
    assert peppers == [(vault.derive("api keys")[0].fingerprint,)]


@pytest.mark.nightly
def test_content_is_encrypted_and_its_key_replaced_while_requests_are_answered(
    server: AntiphonServer, content_keys_file: Path
) -> None:
    with sending(server) as requests:
        requests.wait_for(5)
        assert count(server, _ASKED) == 1
        content_keys_file.write_text(f"{CONTENT_KEY}\n")
        eventually(lambda: has_data_key(server))
        requests.wait_for(5)
        assert "responses and conversations" in run(server, "encrypt-content")
        assert count(server, _ASKED) == 0
        content_keys_file.write_text(f"{_NEW_CONTENT_KEY}\n{CONTENT_KEY}\n")
        requests.wait_for(5)
        assert "1 data keys" in run(server, "rotate")
        content_keys_file.write_text(f"{_NEW_CONTENT_KEY}\n")
        requests.wait_for(20)


@pytest.mark.nightly
def test_a_server_does_not_start_without_the_key_of_its_content(
    server: AntiphonServer, content_keys_file: Path
) -> None:
    content_keys_file.write_text(f"{CONTENT_KEY}\n")
    with sending(server):
        eventually(lambda: has_data_key(server))
    server.stop()
    content_keys_file.write_text(f"{_NEW_CONTENT_KEY}\n")

    with pytest.raises(AssertionError):
        server.start()

    log = (server.data_dir / "log" / "migrate.log").read_text()
    assert "has no key with the fingerprint" in log
