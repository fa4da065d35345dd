"""A database of an earlier schema, with rows in it, serves on after its migration."""

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from models.ids import new_id
from models.responses.status import ResponseStatus
from models.store.listing import ListFilter
from models.store.store import Store
from tests.integration.desk import Desk

_ROOT = Path(__file__).parents[3]
_CONFIG = Config(toml_file=_ROOT / "pyproject.toml")
_REVISIONS = [each.revision for each in ScriptDirectory.from_config(_CONFIG).walk_revisions()][1:]
"""All revisions but the last."""
_EVENTS = [b'{"type":"response.created"}', b'{"type":"response.completed"}']
_ANSWER = '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[]}'
_FILL = """
    WITH finished AS (
        INSERT INTO responses (id, project_id, model, status, background, store, attempt, metadata)
        VALUES (%(finished)s, 'default', 'scripted', 'completed', true, true, 1, '{"a":"b"}')
    ), queued AS (
        INSERT INTO responses (id, project_id, model, status, background, store, parameters)
        VALUES (%(queued)s, 'default', 'scripted', 'queued', true, true, '{"temperature":0.5}')
    ), archived AS (
        INSERT INTO event_archives (response_id, project_id, num_events, data)
        VALUES (%(finished)s, 'default', 2, %(archive)s)
    )
    INSERT INTO items (response_id, direction, position, project_id, body)
    VALUES (%(finished)s, 'output', 0, 'default', %(answer)s),
           (%(queued)s, 'input', 0, 'default', '{"type":"message","role":"user","content":"Hi."}')
"""


@pytest.fixture
def config(empty_database_url: str) -> Config:
    made = Config(toml_file=_ROOT / "pyproject.toml")
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


@pytest.fixture
def desk(empty_database_url: str) -> Iterator[Desk]:
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    with closing(Store.open(url, pool_size=1)) as store:
        yield Desk(store, run)


def fill(url: str) -> tuple[UUID, UUID]:
    """Add a finished and a queued response; return their ids."""
    finished, queued = new_id(), new_id()
    values = {
        "finished": finished,
        "queued": queued,
        "archive": zlib.compress(b"\n".join(_EVENTS)),
        "answer": _ANSWER,
    }
    with psycopg.connect(url) as connection:
        connection.execute(_FILL, values)
    return finished, queued


@pytest.mark.parametrize("revision", _REVISIONS)
def test_rows_of_an_earlier_schema_are_read_and_worked_off(
    config: Config, empty_database_url: str, desk: Desk, revision: str
) -> None:
    command.upgrade(config, revision)
    finished, queued = fill(empty_database_url)

    command.upgrade(config, "head")

    found = desk.store.responses.get("default", finished)
    assert found is not None
    assert (found.status, found.metadata) == (ResponseStatus.COMPLETED, {"a": "b"})
    assert [item["id"] for item in found.output] == ["msg_1"]
    assert desk.store.responses.archived_events("default", finished) == _EVENTS
    assert list(desk.store.items.by_id("default", ["msg_1"])) == ["msg_1"]
    listed = desk.store.lists.read_page("default", ListFilter(metadata={"a": "b"}))
    assert [record.id for record in listed] == [finished]
    claimed = desk.claim()
    assert (claimed.id, claimed.attempt) == (queued, 1)
    assert claimed.parameters == {"temperature": 0.5}
    assert [item["role"] for item in desk.store.items.of_chain("default", queued)] == ["user"]
    assert desk.finish(claimed, output=[])
    assert desk.status(claimed) is ResponseStatus.COMPLETED
    assert desk.create(previous_response_id=queued).attempt == 0
