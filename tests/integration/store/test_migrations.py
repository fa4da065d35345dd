import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from models.database.connection import Base
from models.ids import id_floor, new_id

_ROOT = Path(__file__).parents[3]
_A_RESPONSE = """
    WITH created AS (
        INSERT INTO responses (id, project_id, model, status, background, store)
        VALUES (%(id)s, 'default', 'scripted', 'completed', true, true)
    ), archived AS (
        INSERT INTO event_archives VALUES (%(id)s, 'default', 0, '')
    )
    INSERT INTO items VALUES (%(id)s, 'input', 0, 'default', '{}')
"""

_A_DESCRIBED_RESPONSE = """
    WITH created AS (
        INSERT INTO responses (id, project_id, model, status, background, store, metadata)
        VALUES (%(id)s, 'default', 'scripted', 'completed', true, true, '{"a":"b","c":"d"}')
    )
    INSERT INTO items VALUES (%(id)s, 'input', 0, 'default', '{"id":"mine"}')
"""

_AN_ITEM = """
    INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body)
    VALUES (%s, %s, 'default', %s, '{}')
"""


@pytest.fixture
def config(empty_database_url: str) -> Config:
    made = Config(toml_file=_ROOT / "pyproject.toml")
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def tables(url: str) -> set[str]:
    """Return the names of the tables, without those of partitions."""
    query = """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    """
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute(query)} - {"alembic_version"}


def rows(url: str) -> list[str]:
    """Return every row of the tables that are partitioned by month."""
    with psycopg.connect(url) as connection:
        return [
            row
            for table in ("responses", "items", "event_archives")
            for (row,) in connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode())
        ]


def test_it_works(config: Config, empty_database_url: str) -> None:
    command.upgrade(config, "head")

    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_all_migrations_can_be_taken_back_and_made_again(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    assert tables(empty_database_url) == set()

    command.upgrade(config, "head")

    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_rows_outlive_the_partitioning_and_its_withdrawal(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "0003")
    old, new = id_floor(datetime(2026, 1, 31, tzinfo=UTC)), new_id()
    with psycopg.connect(empty_database_url) as connection:
        for response_id in (old, new):
            connection.execute(_A_RESPONSE, {"id": response_id})
    before = rows(empty_database_url)

    command.upgrade(config, "0004")
    assert rows(empty_database_url) == before
    command.downgrade(config, "0003")
    assert rows(empty_database_url) == before

    with psycopg.connect(empty_database_url) as connection:
        connection.execute("DELETE FROM responses WHERE id = %s", [new])
    assert rows(empty_database_url) == [row for row in before if str(new) not in row]


def test_items_of_conversations_are_marked_if_their_ids_were_made_here(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "0009")
    conversation, turn, other = new_id(), new_id(), new_id()
    is_made = {
        f"msg_{turn.hex}_0": True,
        f"msg_{turn.hex}_in0": True,
        f"msg_{new_id().hex}": True,
        f"msg_{other.hex}_0": False,
        "mine": False,
    }
    with psycopg.connect(empty_database_url) as connection:
        for response_id, owner in ((turn, conversation), (other, None)):
            connection.execute(_A_RESPONSE, {"id": response_id})
            connection.execute(
                "UPDATE responses SET conversation_id = %s WHERE id = %s", [owner, response_id]
            )
        connection.execute(
            "INSERT INTO conversations (id, project_id) VALUES (%s, 'default')", [conversation]
        )
        for position, item_id in enumerate(is_made):
            connection.execute(_AN_ITEM, [conversation, position, item_id])

    command.upgrade(config, "0010")

    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute("SELECT item_id, made_here FROM conversation_items").fetchall()
        connection.execute(_AN_ITEM, [conversation, 9, "by the previous code"])
    assert dict(found) == is_made


def test_rows_of_the_previous_code_are_looked_up_without_json(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "0014")
    ids = [new_id() for _ in range(3)]
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_A_DESCRIBED_RESPONSE, {"id": ids[0]})

    command.upgrade(config, "0015")

    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_A_DESCRIBED_RESPONSE, {"id": ids[1]})
        connection.execute(_A_RESPONSE, {"id": ids[2]})
        items = connection.execute("SELECT response_id, item_id FROM items ORDER BY 1").fetchall()
        pairs = connection.execute(
            "SELECT response_id FROM response_metadata WHERE pair = metadata_pair('a', 'b')"
            " AND project_id = 'default' ORDER BY 1"
        ).fetchall()
    assert items == [(ids[0], "mine"), (ids[1], "mine"), (ids[2], None)]
    assert pairs == [(ids[0],), (ids[1],)]


def test_a_migration_that_was_broken_off_is_completed(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "0015")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0014'")
        connection.execute("DROP INDEX items_by_item_id")
        connection.execute("CREATE INDEX items_by_id ON items (project_id)")
        connection.execute("CREATE INDEX responses_by_metadata ON responses (project_id)")
        connection.execute("ALTER TABLE items DISABLE TRIGGER set_item_id")
        connection.execute(_A_DESCRIBED_RESPONSE, {"id": new_id()})
        connection.execute("UPDATE items SET item_id = NULL")

    command.upgrade(config, "0015")

    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT item_id FROM items").fetchall() == [("mine",)]


def test_the_migrations_lead_to_the_tables_of_the_models(config: Config) -> None:
    command.upgrade(config, "head")

    command.check(config)


def test_alembic_works_on_the_command_line(config: Config, empty_database_url: str) -> None:
    command.upgrade(config, "head")

    check = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        env=os.environ | {"DATABASE_URL": empty_database_url},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (check.returncode, "No new upgrade operations" in check.stdout) == (0, True), check
