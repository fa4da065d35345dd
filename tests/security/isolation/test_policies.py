"""Policies of the tables: who sees which rows, whatever a statement says."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import APP, MAINTENANCE, OWNER
from models.database.connection import Base
from models.metrics.readings import Reading
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.conftest import on_database
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.security.isolation.tenants import Tenant, settle

_SEES_NONE = ["items", "event_archives", "response_metadata", "conversations", "conversation_items"]
_OF_NO_PROJECT = {"metric_minutes", "workers"}
"""Tables of the server itself, of no project's content: no project has rows of its own in them."""
_TABLES = sorted(Base.metadata.tables.keys() - _OF_NO_PROJECT)
_MANAGED = ["api_keys", "audit_entries", "projects"]
_UPKEPT = sorted(set(_TABLES) - {*_SEES_NONE})
_UNPROTECTED = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity OR NOT EXISTS (
          SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'))
"""


@pytest.fixture
def tenants(desk: Desk) -> list[Tenant]:
    return [settle(desk, name) for name in ("one", "two")]


@pytest.fixture
def connect(postgres: EmbeddedPostgres, database_url: str) -> Any:
    """Return a function that connects as a role."""
    name = database_url.rpartition("/")[2]

    @contextmanager
    def connected(role: str, reach: str | None = None) -> Iterator[psycopg.Connection]:
        with psycopg.connect(on_database(postgres.url_of(role), name)) as connection:
            if reach is not None:
                connection.execute("SELECT set_config('antiphon.project', %s, true)", [reach])
            yield connection

    return connected


def projects_in(connection: psycopg.Connection, table: str) -> set[str]:
    found = connection.execute(f"SELECT DISTINCT project_id FROM {table}".encode())
    return {project_id for (project_id,) in found}


def test_every_table_and_partition_has_policies_that_its_owner_cannot_escape(sql: RunSql) -> None:
    found = {name for (name,) in sql(_UNPROTECTED)}

    assert found == {*_OF_NO_PROJECT, "alembic_version"}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("role", [APP, MAINTENANCE, OWNER])
@pytest.mark.parametrize("table", _TABLES)
def test_one_project_is_seen_in_its_reach(connect: Any, role: str, table: str) -> None:
    with connect(role, "one") as connection:
        assert projects_in(connection, table) <= {"one"}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("role", [APP, MAINTENANCE, OWNER])
@pytest.mark.parametrize("table", _TABLES)
def test_without_a_reach_the_default_project_is_seen(connect: Any, role: str, table: str) -> None:
    with connect(role) as connection:
        assert projects_in(connection, table) <= {DEFAULT_PROJECT}
    with connect(role, "") as connection:
        assert projects_in(connection, table) <= {DEFAULT_PROJECT}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("table", _TABLES)
def test_the_application_sees_nothing_in_the_reach_of_upkeep(connect: Any, table: str) -> None:
    with connect(APP, "*") as connection:
        assert projects_in(connection, table) == set()


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("table", sorted({*_UPKEPT} - {"audit_entries"}))
def test_maintenance_sees_the_rows_of_all_projects_that_it_needs(connect: Any, table: str) -> None:
    with connect(MAINTENANCE, "*") as connection:
        assert projects_in(connection, table) >= {"one", "two"}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("table", _SEES_NONE)
def test_maintenance_sees_no_content_of_all_projects(connect: Any, table: str) -> None:
    with connect(MAINTENANCE, "*") as connection:
        assert projects_in(connection, table) == set()
    with connect(OWNER, "*") as connection:
        assert projects_in(connection, table) >= {"one", "two"}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("table", sorted({*_TABLES} - {*_MANAGED}))
def test_management_sees_projects_and_keys_alone(connect: Any, table: str) -> None:
    with connect(APP, "@") as connection:
        assert projects_in(connection, "projects") >= {"one", "two"}
        assert projects_in(connection, table) == set()


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("role", [APP, MAINTENANCE, OWNER])
@pytest.mark.parametrize("table", sorted({*_TABLES} - {"audit_entries"}))
def test_no_row_is_given_to_another_project(connect: Any, role: str, table: str) -> None:
    with connect(role, "one") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"UPDATE {table} SET project_id = 'two'".encode())


def test_metrics_are_seen_by_operators_and_written_by_maintenance_alone(
    connect: Any, store: Store
) -> None:
    store.minutes.write([Reading(model="m", num_queued=1, totals={})])
    count = "SELECT count(*) FROM metric_minutes"

    def seen(role: str, reach: str) -> int:
        with connect(role, reach) as connection:
            return int(connection.execute(count).fetchone()[0])

    assert [seen(APP, "@"), seen(MAINTENANCE, "*")] == [1, 1]
    assert [seen(APP, reach) for reach in ("*", "one", DEFAULT_PROJECT, "")] == [0, 0, 0, 0]
    with connect(APP, "@") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("INSERT INTO metric_minutes VALUES (now(), 'm', now(), 1, '{}')")


def test_partitions_of_a_new_month_have_the_policies(connect: Any, sql: RunSql) -> None:
    with connect(MAINTENANCE) as connection:
        [added] = connection.execute(
            "SELECT add_month('2031_01', '01c00000-0000-0000-0000-000000000000',"
            " '01c00000-0000-0000-0000-0000000000ff')"
        ).fetchone()
        assert added
    try:
        assert {name for (name,) in sql(_UNPROTECTED)} == {*_OF_NO_PROJECT, "alembic_version"}
    finally:
        sql("SELECT drop_month('2031_01')")


def test_no_month_is_dropped_by_an_owner_who_sees_nothing(
    connect: Any, sql: RunSql, tenants: list[Tenant]
) -> None:
    """As after `ALTER TABLE … OWNER TO`, until `antiphon migrate` has set the policies right."""
    label = f"{datetime.now(UTC):%Y_%m}"
    sql(f"ALTER POLICY upkeep ON responses TO {MAINTENANCE}")
    try:
        with (
            connect(MAINTENANCE) as connection,
            pytest.raises(psycopg.errors.RaiseException, match="antiphon migrate"),
        ):
            connection.execute("SELECT drop_month(%s)", [label])
    finally:
        sql(f"ALTER POLICY upkeep ON responses TO {OWNER}, {MAINTENANCE}")


def test_the_reach_ends_with_its_statement(desk: Desk, store: Store) -> None:
    desk.add_project("one")
    store.responses.statuses([("one", desk.create(project_id="one").id)])

    with store.database.statement("one") as connection:
        driver: Any = connection.connection.dbapi_connection
        [left] = driver.execute("SELECT current_setting('antiphon.project', true)").fetchone()

    assert not left
