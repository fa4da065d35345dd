"""The server's own secrets: with a secret file, the database has none in the clear."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.database.secrets import Rotation
from models.ids import new_id
from models.store.store import Store
from tests.factories import stored_response
from tests.integration.conftest import RunSql
from tests.integration.traces import rows_that_mention

OpenStore = Callable[[Path | None], Store]
_SECRET = "whsec_c3dvcmRmaXNo"
_FIELDS = {"name": "test", "url": "https://example.com/", "event_types": ["response.completed"]}


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("a secret of the server\n")
    return path


@pytest.fixture
def open_store(maintenance_url: str, sql: RunSql) -> Iterator[OpenStore]:
    # The project's row, with its key, is kept from test to test.
    sql("UPDATE projects SET sealing_key = NULL")
    with ExitStack() as stack:
        stack.callback(sql, "UPDATE projects SET sealing_key = NULL")

        def opened(secret_file: Path | None) -> Store:
            store = Store.open(maintenance_url, pool_size=1, secret_file=secret_file)
            stack.callback(store.close)
            return store

        yield opened


def test_nothing_is_stored_in_the_clear(
    open_store: OpenStore, secret_file: Path, sql: RunSql
) -> None:
    store, response = open_store(secret_file), stored_response(store=False, content_key=b"k" * 32)
    endpoint_id = new_id()
    assert store.webhooks.create("default", endpoint_id, _SECRET, _FIELDS)
    key = store.projects.encryption_key("default")
    store.responses.create(response, [])

    assert rows_that_mention(sql, _SECRET) == []
    assert rows_that_mention(sql, key) == []
    assert sql("SELECT position(%s IN content_key) FROM responses", b"k" * 8) == [(0,)]

    again = open_store(secret_file)
    found = again.webhooks.get("default", endpoint_id)
    assert found is not None
    assert found.signing_secret == _SECRET
    assert again.projects.encryption_key("default") == key
    unstored = again.responses.get_unstored("default", response.id)
    assert unstored is not None
    assert unstored.content_key == b"k" * 32


def test_an_old_secret_stays_readable_when_it_is_rotated(
    open_store: OpenStore, secret_file: Path
) -> None:
    store, endpoint_id = open_store(secret_file), new_id()
    assert store.webhooks.create("default", endpoint_id, _SECRET, _FIELDS)

    rotated = store.webhooks.rotate_secret("default", endpoint_id, "whsec_bmV3", keep_old=True)

    assert rotated is not None
    assert rotated.secrets == ["whsec_bmV3", _SECRET]


def test_secrets_from_before_are_encrypted_and_go_on_working(
    open_store: OpenStore, secret_file: Path, sql: RunSql
) -> None:
    before, endpoint_id = open_store(None), new_id()
    assert before.webhooks.create("default", endpoint_id, _SECRET, _FIELDS)
    key = before.projects.encryption_key("default")
    store = open_store(secret_file)
    assert store.projects.encryption_key("default") == key

    assert store.secrets.rotate() == Rotation(num_changed=2)

    assert store.secrets.rotate() == Rotation()
    assert rows_that_mention(sql, _SECRET) + rows_that_mention(sql, key) == []
    found = store.webhooks.get("default", endpoint_id)
    assert found is not None
    assert found.signing_secret == _SECRET
    assert store.projects.encryption_key("default") == key


def test_a_secret_of_another_file_stops_its_endpoint_alone(
    open_store: OpenStore, secret_file: Path, tmp_path: Path
) -> None:
    lost, kept = new_id(), new_id()
    assert open_store(secret_file).webhooks.create("default", lost, _SECRET, _FIELDS)
    other = tmp_path / "other"
    other.write_text("another secret of the server\n")
    store = open_store(other)
    assert store.webhooks.create("default", kept, "whsec_bmV3", _FIELDS)

    found = {
        each.id: each.signing_secret
        for each in store.webhooks.list_endpoints("default", after=None, limit=9)
    }

    assert found == {lost: "", kept: "whsec_bmV3"}


def test_a_rotation_encrypts_everything_under_the_first_line(
    open_store: OpenStore, secret_file: Path, sql: RunSql
) -> None:
    running, endpoint_id, unstored = open_store(secret_file), new_id(), new_id()
    tools = stored_response(tool_secrets={"wiki": {"authorization": "token"}})
    assert running.webhooks.create("default", endpoint_id, _SECRET, _FIELDS)
    running.webhooks.rotate_secret("default", endpoint_id, "whsec_bmV3", keep_old=True)
    key = running.projects.encryption_key("default")
    running.responses.create(tools, [])
    running.responses.create(stored_response(id=unstored, store=False, content_key=b"k" * 32), [])
    old = secret_file.read_text()

    secret_file.write_text(f"the next secret of the server\n{old}")
    rotation = open_store(secret_file).secrets.rotate()

    assert rotation == Rotation(num_changed=5)
    secret_file.write_text("the next secret of the server\n")
    for store in (running, open_store(secret_file)):
        found = store.webhooks.get("default", endpoint_id)
        assert found is not None
        assert found.secrets == ["whsec_bmV3", _SECRET]
        assert store.projects.encryption_key("default") == key
        record = store.responses.get_unstored("default", unstored)
        assert record is not None
        assert record.content_key == b"k" * 32
        assert store.secrets.rotate() == Rotation()
    sql(
        "INSERT INTO workers (id, project_id, name, model, host, pid, lease_until)"
        " VALUES (%s, 'default', 'w', %s, 'h', 1, now() + interval '1 h')",
        unstored,
        tools.model,
    )
    claimed = running.claims.claim(unstored, tools.model, only_stored=True)
    assert claimed is not None
    assert claimed.tool_secrets == tools.tool_secrets


def test_what_no_line_decrypts_is_counted_and_stays_as_it_is(
    open_store: OpenStore, secret_file: Path
) -> None:
    endpoint_id = new_id()
    assert open_store(secret_file).webhooks.create("default", endpoint_id, _SECRET, _FIELDS)
    old = secret_file.read_text()
    secret_file.write_text("another secret of the server\n")

    assert open_store(secret_file).secrets.rotate() == Rotation(num_unreadable=1)

    secret_file.write_text(old)
    found = open_store(secret_file).webhooks.get("default", endpoint_id)
    assert found is not None
    assert found.signing_secret == _SECRET
