"""Partitions by month. Each test has its own database, since it changes the tables."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from models.errors import UnavailableError
from models.ids import id_floor
from models.settings import Settings
from models.store.partitions import NUM_AHEAD, partitioned_tables
from models.store.store import Store
from tests.factories import output_message
from tests.integration.desk import Desk
from worker.maintenance.retention import Retention

_ROOT = Path(__file__).parents[3]
_NOW = datetime.now(UTC)


@pytest.fixture
def own_desk(empty_database_url: str) -> Iterator[Desk]:
    config = Config(toml_file=_ROOT / "pyproject.toml")
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
    with (
        closing(Store.open(url)) as store,
        psycopg.connect(empty_database_url, autocommit=True) as connection,
    ):

        def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

        yield Desk(store, run)


def month(num_later: int) -> datetime:
    """Return the middle of a month, counted from the current one."""
    first = _NOW.replace(day=1) + timedelta(days=31 * num_later)
    return first.replace(day=15)


def create_ended(desk: Desk, created_at: datetime) -> UUID:
    """Create a response with items and archive that ended three hours ago; return its id."""
    claimed = desk.running(id=id_floor(created_at))
    assert desk.finish(claimed, output=[output_message(claimed.id)], events=[b"{}"])
    desk.sql(
        "UPDATE responses SET finished_at = now() - interval '3 hours' WHERE id = %s", claimed.id
    )
    return claimed.id


def partition_of(desk: Desk, response_id: UUID) -> set[str]:
    """Return the labels of the partitions that hold rows of a response."""
    labels = set()
    for table, column in (
        ("responses", "id"),
        ("items", "response_id"),
        ("event_archives", "response_id"),
    ):
        found = desk.sql(
            f"SELECT DISTINCT tableoid::regclass::text FROM {table} WHERE {column} = %s",
            response_id,
        )
        labels |= {name.removeprefix(f"{table}_") for (name,) in found}
    return labels


def partitions(desk: Desk) -> set[str]:
    return {name for (name,) in desk.sql("SELECT relname FROM pg_class WHERE relispartition")}


def test_it_works(own_desk: Desk) -> None:
    later = month(NUM_AHEAD + 1)

    assert own_desk.store.partitions.add(month(1)) == [f"{later:%Y_%m}"]

    assert partition_of(own_desk, create_ended(own_desk, later)) == {f"{later:%Y_%m}"}


def test_months_that_are_there_are_not_made_again(own_desk: Desk) -> None:
    assert own_desk.store.partitions.add(_NOW) == []


def test_whatever_is_older_lies_in_the_first_month(own_desk: Desk) -> None:
    response_id = create_ended(own_desk, _NOW - timedelta(days=300))

    assert partition_of(own_desk, response_id) == {f"{_NOW:%Y_%m}"}


def test_a_response_without_a_month_is_kept_in_the_default_partition(own_desk: Desk) -> None:
    response_id = create_ended(own_desk, month(NUM_AHEAD + 3))

    assert partition_of(own_desk, response_id) == {"default"}
    assert own_desk.store.partitions.add(month(NUM_AHEAD + 3)) != []
    assert partition_of(own_desk, response_id) == {"default"}


def test_a_month_whose_responses_have_all_expired_is_dropped(own_desk: Desk) -> None:
    create_ended(own_desk, _NOW)
    kept = create_ended(own_desk, month(1))

    dropped = own_desk.store.partitions.drop(created_before=month(1))

    assert dropped == [f"{_NOW:%Y_%m}"]
    assert own_desk.sql("SELECT id FROM responses") == [(kept,)]
    assert own_desk.sql("SELECT DISTINCT response_id FROM items") == [(kept,)]
    assert not {name for name in partitions(own_desk) if dropped[0] in name}


def _leave_queued(desk: Desk) -> None:
    desk.create()


def _end_just_now(desk: Desk) -> None:
    desk.finish(desk.running())


@pytest.mark.parametrize("unsettle", [_leave_queued, _end_just_now])
def test_a_month_is_kept_while_any_response_in_it_matters(
    own_desk: Desk, unsettle: Callable[[Desk], None]
) -> None:
    create_ended(own_desk, _NOW)
    unsettle(own_desk)

    assert own_desk.store.partitions.drop(created_before=month(1)) == []

    assert own_desk.sql("SELECT count(*) FROM responses") == [(2,)]


def test_a_month_is_kept_until_its_last_day_has_expired(own_desk: Desk) -> None:
    create_ended(own_desk, _NOW)
    last_day = month(1).replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    assert own_desk.store.partitions.drop(created_before=last_day - timedelta(seconds=1)) == []


def test_a_deleted_response_leaves_no_rows_in_any_partition(own_desk: Desk) -> None:
    for created_at in (_NOW, month(1), month(NUM_AHEAD + 1)):
        response_id = create_ended(own_desk, created_at)

        own_desk.store.responses.delete("default", response_id)

        assert partition_of(own_desk, response_id) == set()


def test_only_what_is_declared_by_month_is_partitioned(own_desk: Desk) -> None:
    parents = own_desk.sql("SELECT partrelid::regclass::text FROM pg_partitioned_table")

    assert {name for (name,) in parents} == set(partitioned_tables())


def test_retention_drops_months_and_makes_new_ones(
    own_desk: Desk, empty_database_url: str, redis_url: str
) -> None:
    create_ended(own_desk, _NOW)
    for table in partitioned_tables():  # as if it had been created last spring
        own_desk.sql(f"ALTER TABLE {table}_{_NOW:%Y_%m} RENAME TO {table}_2026_03")
    settings = Settings(database_url=empty_database_url, redis_url=redis_url)

    with closing(Retention(settings)) as retention:
        retention.sweep()

    assert own_desk.sql("SELECT id FROM responses") == []
    assert f"responses_{_NOW:%Y_%m}" in partitions(own_desk)


def test_a_month_that_somebody_reads_is_dropped_later(
    own_desk: Desk, empty_database_url: str
) -> None:
    create_ended(own_desk, _NOW)
    with psycopg.connect(empty_database_url) as reader:
        reader.execute("SELECT count(*) FROM responses")

        with pytest.raises(UnavailableError):
            own_desk.store.partitions.drop(created_before=month(1))

        assert own_desk.sql("SELECT count(*) FROM responses") == [(1,)]
    assert own_desk.store.partitions.drop(created_before=month(1)) != []
