"""Two locks on each row, the statement's filter and Postgres' policy: each holds by itself."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql as compose

from cli.embedded.roles import APP, MAINTENANCE, OWNER
from models.settings import Settings
from models.store.store import Store
from tests.content_keys import CONTENT_KEY, write_content_keys
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.security.isolation.calls import keep_content, keep_up, reach_for
from tests.security.isolation.statements import Statement, constants, record_all
from tests.security.isolation.tenants import Tenant, settle

TABLES = (
    "responses",
    "items",
    "event_archives",
    "response_metadata",
    "conversations",
    "conversation_items",
    "idempotency_keys",
    "webhook_endpoints",
    "webhook_deliveries",
    "project_flows",
    "user_flows",
    "projects",
    "api_keys",
)
MINE = "mine"


def parameters(tables: Iterable[str]) -> list[object]:
    """Return the tables as parameters of a test; most are tried by night."""
    return [
        table
        if table in ("responses", "items", "projects")
        else pytest.param(table, marks=pytest.mark.nightly)
        for table in tables
    ]


@dataclass(frozen=True)
class Effect:
    """What a statement has returned, and what the other project's rows are after it."""

    answer: str
    theirs: str
    copied: int
    """Number of my rows with a word of the other project."""


class Laboratory:
    """Executes statements and forgets their effects, as one role or without policies."""

    def __init__(self, connection: psycopg.Connection, theirs: Tenant) -> None:
        self.connection = connection
        self._theirs = theirs
        self.before = self.effect_of(None)

    def effect_of(
        self, statement: Statement | None, role: str | None = None, unlocked: str | None = None
    ) -> Effect:
        """Execute a statement as a role, by default the superuser, who is above policies.

        `unlocked` is a table whose policies are dropped before.
        """
        try:
            if unlocked:
                self._drop_policies(unlocked)
            answer = self._answer(statement, role) if statement else ""
            self.connection.execute("RESET ROLE")
            return Effect(answer, self._rows_of_theirs(), self._num_copied())
        finally:
            self.connection.rollback()

    def leaks(self, statement: Statement, mutant: Statement, **circumstances: str) -> bool:
        """Return True if a mutant returns, changes or copies more than its statement."""
        right = self.effect_of(statement, APP)
        effect = self.effect_of(mutant, **circumstances)
        assert right.theirs == self.before.theirs
        assert right.copied == 0
        refused = effect.answer == "InsufficientPrivilege"
        return (effect.answer != right.answer and not refused) or effect != Effect(
            effect.answer, self.before.theirs, 0
        )

    def _answer(self, statement: Statement, role: str | None) -> str:
        with self.connection.cursor() as cursor:
            if role:
                cursor.execute(compose.SQL("SET ROLE {}").format(compose.Identifier(role)))
            cursor.execute("SAVEPOINT before")
            try:
                cursor.execute(statement.sql.encode(), statement.parameters)
                return str(sorted(map(_shown, cursor.fetchall())) if cursor.description else "")
            except psycopg.Error as error:
                cursor.execute("ROLLBACK TO before")
                return type(error).__name__

    def _drop_policies(self, table: str) -> None:
        self.connection.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY".encode())

    def _rows_of_theirs(self) -> str:
        rows = [
            self.connection.execute(
                f"SELECT t::text FROM {table} t WHERE project_id = %s ORDER BY 1".encode(),
                [self._theirs.project_id],
            ).fetchall()
            for table in TABLES
        ]
        return str(rows)

    def _num_copied(self) -> int:
        count = 0
        for table in TABLES:
            query = f"SELECT count(*) FROM {table} t WHERE project_id = %s AND t::text LIKE %s"
            values = [MINE, f"%{self._theirs.word}%"]
            [number] = self.connection.execute(query.encode(), values).fetchone() or [0]
            count += number
        return count


def _shown(row: Sequence[object]) -> str:
    """Return a row without times and ages, most of which are those of its reading."""
    return str([value for value in row if not isinstance(value, datetime | float)])


@pytest.fixture
def theirs(desk: Desk) -> Tenant:
    settle(desk, MINE)
    return settle(desk, "theirs")


@pytest.fixture
def statements(store: Store, theirs: Tenant, sql: RunSql) -> list[Statement]:
    """Return every statement on a project's rows, aimed at those of another."""
    made = record_all(reach_for(store, MINE, theirs))
    # Created by the calls: the statements are executed again.
    sql("DELETE FROM webhook_endpoints WHERE project_id = %s AND name = 'hook'", MINE)
    sql("DELETE FROM api_keys WHERE id = 'another-key'")
    assert {statement.reach for statement in made} == {MINE}
    return made


@pytest.fixture
def laboratory(
    statements: list[Statement], theirs: Tenant, database_url: str
) -> Iterator[Laboratory]:
    with psycopg.connect(database_url) as connection:
        yield Laboratory(connection, theirs)


@pytest.mark.parametrize("role", [APP, MAINTENANCE, OWNER])
def test_a_statement_that_has_lost_a_filter_reaches_no_other_project(
    laboratory: Laboratory, statements: list[Statement], role: str
) -> None:
    num_mutants = 0
    for statement in statements:
        for mutant in statement.mutants():
            num_mutants += 1
            assert not laboratory.leaks(statement, mutant, role=role), mutant.sql

    assert num_mutants > 80


@pytest.mark.parametrize("table", parameters(TABLES))
def test_a_table_that_has_lost_its_policies_is_filtered_by_every_statement(
    laboratory: Laboratory, statements: list[Statement], table: str
) -> None:
    for statement in statements:
        assert not laboratory.leaks(statement, statement, role=APP, unlocked=table), statement.sql


# The rows of `response_metadata` are joined to those of `responses`, which still have policies.
@pytest.mark.parametrize("table", parameters(sorted({*TABLES} - {"response_metadata"})))
def test_both_locks_lost_are_noticed(
    laboratory: Laboratory, statements: list[Statement], table: str
) -> None:
    assert any(
        laboratory.leaks(statement, statement.without_filters(), role=APP, unlocked=table)
        for statement in statements
        if table in statement.sql
    )


def test_every_statement_without_filters_and_policies_is_noticed(
    laboratory: Laboratory, statements: list[Statement]
) -> None:
    for statement in statements:
        if any(statement.mutants()):
            assert laboratory.leaks(statement, statement.without_filters()), statement.sql


def open_store(settings: Settings, content_keys_file: Path) -> Store:
    assert settings.database_url is not None
    return Store.open(
        settings.database_url,
        maintenance_url=settings.database_maintenance_url,
        pool_size=2,
        content_keys_file=content_keys_file,
    )


def test_every_statement_of_the_store_is_tried(
    statements: list[Statement], desk: Desk, settings: Settings, tmp_path: Path
) -> None:
    created = record_all([lambda: settle(desk, "third")])
    with ExitStack() as stack:
        path = write_content_keys(tmp_path)
        keyed = stack.enter_context(closing(open_store(settings, path)))
        other = base64.b64encode(b"n" * 32).decode()
        path.write_text(f"{other}\n{CONTENT_KEY}\n")
        rotating = stack.enter_context(closing(open_store(settings, path)))
        path.write_text(f"{CONTENT_KEY}\n")
        content = record_all(keep_content(Desk(keyed, desk.sql), rotating))
    upkeep = record_all(keep_up(desk))

    executed = {statement.shape for statement in (*statements, *created, *upkeep, *content)}
    assert [name for name, shape in constants().items() if shape not in executed] == []
