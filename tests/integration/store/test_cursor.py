"""Cursors of the pool: columns are described to those who look at them."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import column, text

from models.database.connection import Database
from models.database.cursor import LazyCursor
from models.tables import DEFAULT_PROJECT


@pytest.fixture
def database(app_url: str) -> Iterator[Database]:
    """Yield a pool of one connection."""
    url = app_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url, pool_size=1)) as opened:
        yield opened


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of columns whenever a result is described."""
    numbers: list[int] = []
    describe = LazyCursor.describe

    def noted(cursor: LazyCursor) -> object:
        columns = describe(cursor)
        numbers.append(len(columns))
        return columns

    monkeypatch.setattr(LazyCursor, "describe", noted)
    return numbers


def test_the_columns_of_a_statement_are_described_once(
    database: Database, described: list[int]
) -> None:
    statement = text("SELECT 1 AS one, 'x' AS letter").columns(column("one"), column("letter"))
    for _ in range(3):
        with database.statement(DEFAULT_PROJECT) as connection:
            row = connection.execute(statement).one()

        assert dict(row._mapping) == {"one": 1, "letter": "x"}

    assert described.count(2) == 1


def test_rows_that_share_the_text_of_a_statement_keep_its_names(database: Database) -> None:
    for name in ("first", "second", "first"):
        with database.statement(DEFAULT_PROJECT) as connection:
            row = connection.execute(text(f"SELECT 1 AS {name}, 2 AS last")).one()

        assert row._fields == (name, "last")


def test_a_description_is_that_of_the_driver(database: Database) -> None:
    with database.statement(DEFAULT_PROJECT) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            cursor.execute("SELECT 1 AS one, 'x' AS letter WHERE false")
            description = cursor.description

            assert [found.name for found in description] == ["one", "letter"]
            assert [found.name for found in description[:1]] == ["one"]
            assert description[1].type_display == "text"
            assert len(description) == 2


@pytest.mark.parametrize("statement", ["SET application_name = 'a'", "DO 'BEGIN END'"])
def test_what_has_no_rows_has_no_description(database: Database, statement: str) -> None:
    with database.statement(DEFAULT_PROJECT) as connection:
        assert not connection.execute(text(statement)).returns_rows
