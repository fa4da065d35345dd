"""Statements that run for every response read one partition, by its indexes alone."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import pytest
from sqlalchemy import text

from models.database.connection import Database
from models.store.store import Store
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

_NUM_PLANS = 12
"""The driver prepares a statement the sixth time; five more, and Postgres keeps to one plan."""
_EXPLAINED = " ".join(
    f"-c {setting}"
    for setting in (
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_level=notice",
        "auto_explain.log_analyze=on",
        "auto_explain.log_timing=off",
        # A table of a few rows would be read whole, whatever its indexes.
        "enable_seqscan=off",
    )
)

_PLANS_MADE = text("SELECT generic_plans, custom_plans FROM pg_prepared_statements")

Planned = Callable[[], str]


@pytest.fixture
def explained(database_url: str, sql: RunSql) -> Iterator[Desk]:
    """A desk whose connections tell how each statement was executed."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Store.open(f"{url}?options={quote(_EXPLAINED)}", pool_size=1)) as store:
        yield Desk(store, sql)


@pytest.fixture
def plan(caplog: pytest.LogCaptureFixture) -> Planned:
    """The plan of the newest statement, and a line for each part of it that was executed."""
    caplog.set_level(logging.INFO, "sqlalchemy.dialects.postgresql")

    def newest() -> str:
        return next(m for m in reversed(caplog.messages) if "Query Text" in m)

    return newest


def reads_of(plan: str, alias: str) -> list[str]:
    """The scans of a table that were executed, by the alias that its statement gives it."""
    scan = re.compile(rf"-> +.* on \w+ {alias}(_\d+)? .*")
    return [found[0] for found in scan.finditer(plan) if not found[0].endswith("(never executed)")]


def _num_rows_read(plan: str, alias: str) -> int:
    """Rows that the scans of a table gave, over all of their loops."""
    rows = (re.search(r"actual rows=([\d.]+) loops=(\d+)", scan) for scan in reads_of(plan, alias))
    return round(sum(float(found[1]) * int(found[2]) for found in rows if found))


def test_a_claim_reads_the_heads_of_the_queues_and_writes_one_partition(
    explained: Desk, plan: Planned
) -> None:
    worker = explained.hire()
    for _ in range(_NUM_PLANS):
        explained.create()
        explained.claim(worker)

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "r")) == 1


def test_an_end_writes_one_partition(explained: Desk, plan: Planned) -> None:
    worker = explained.hire()
    for _ in range(_NUM_PLANS):
        explained.create()
        claimed = explained.claim(worker)
        explained.finish(claimed, output=[{}])

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "responses")) == 1


def test_a_response_is_read_from_one_partition(explained: Desk, plan: Planned) -> None:
    response = explained.create()
    for _ in range(_NUM_PLANS):
        explained.store.responses.get(response.project_id, response.id)

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "r")) == 1
        assert len(reads_of(plan(), "i")) == 1


def test_a_chain_of_turns_is_looked_up_turn_by_turn(explained: Desk, plan: Planned) -> None:
    turns = [explained.create()]
    for _ in range(_NUM_PLANS):
        turns.append(explained.create(previous_response_id=turns[-1].id))
        explained.store.items.of_chain(turns[1].project_id, turns[1].id)

        # Joined by hash, it would read all that the project has.
        assert "Hash Join" not in plan()
        assert _num_rows_read(plan(), "i") == 2


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A pool of one connection, which remembers how its statements were planned."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url, pool_size=1)) as database:
        yield database


def test_a_statement_is_planned_once_for_all_values(database: Database) -> None:
    for value in range(_NUM_PLANS):
        with database.statement() as connection:
            connection.execute(text("SELECT CAST(:value AS int)"), {"value": value})

    with database.statement() as connection:
        generic, custom = connection.execute(_PLANS_MADE).one()
    assert generic > 0
    assert custom == 0


def test_a_search_is_planned_for_its_values(database: Database) -> None:
    for value in range(_NUM_PLANS):
        with database.search() as connection:
            connection.execute(text("SELECT CAST(:value AS int)"), {"value": value})

    with database.statement() as connection:
        generic, custom = connection.execute(
            text(f"{_PLANS_MADE} WHERE statement LIKE 'SELECT CAST%'")
        ).one()
    assert generic == 0
    assert custom > 0
