"""Query plans: frequent statements on a response read one partition, by its indexes alone."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import pytest
from sqlalchemy import text

from models.database.connection import Database
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

_NUM_PLANS = 12
"""Number of executions until plans are final.

The driver prepares a statement at its sixth execution; after five more, Postgres may choose a
generic plan.
"""
_EXPLAINED = " ".join(
    f"-c {setting}"
    for setting in (
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_level=notice",
        "auto_explain.log_analyze=on",
        "auto_explain.log_timing=off",
        # Postgres would scan a table of a few rows sequentially, whatever its indexes.
        "enable_seqscan=off",
    )
)

_PLANS_MADE = text("SELECT generic_plans, custom_plans FROM pg_prepared_statements")

Planned = Callable[[], str]


@pytest.fixture
def explaining_desk(database_url: str, sql: RunSql) -> Iterator[Desk]:
    """Yield a `Desk` whose connections log the plan of each executed statement."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Store.open(f"{url}?options={quote(_EXPLAINED)}", pool_size=1)) as store:
        yield Desk(store, sql)


@pytest.fixture
def plan(caplog: pytest.LogCaptureFixture) -> Planned:
    """Return a function that reads the newest plan, one line for each part that was executed."""
    caplog.set_level(logging.INFO, "sqlalchemy.dialects.postgresql")

    def newest() -> str:
        return next(m for m in reversed(caplog.messages) if "Query Text" in m)

    return newest


def reads_of(plan: str, alias: str) -> list[str]:
    """Return the executed scans of a table, given by its alias in the statement."""
    scan = re.compile(rf"-> +.* on \w+ {alias}(_\d+)? .*")
    return [found[0] for found in scan.finditer(plan) if not found[0].endswith("(never executed)")]


def _num_rows_read(plan: str, alias: str) -> int:
    """Return the number of rows that the scans of a table returned, over all of their loops."""
    rows = (re.search(r"actual rows=([\d.]+) loops=(\d+)", scan) for scan in reads_of(plan, alias))
    return round(sum(float(found[1]) * int(found[2]) for found in rows if found))


def test_a_claim_reads_the_heads_of_the_queues_and_writes_one_partition(
    explaining_desk: Desk, plan: Planned
) -> None:
    worker = explaining_desk.hire()
    for _ in range(_NUM_PLANS):
        explaining_desk.create()
        explaining_desk.claim(worker)

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "r")) == 1


def test_an_end_writes_one_partition(explaining_desk: Desk, plan: Planned) -> None:
    worker = explaining_desk.hire()
    for _ in range(_NUM_PLANS):
        explaining_desk.create()
        claimed = explaining_desk.claim(worker)
        explaining_desk.finish(claimed, output=[{}])

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "responses")) == 1


def test_a_response_is_read_from_one_partition(explaining_desk: Desk, plan: Planned) -> None:
    response = explaining_desk.create()
    for _ in range(_NUM_PLANS):
        explaining_desk.store.responses.get(response.project_id, response.id)

        assert "Seq Scan on responses" not in plan()
        assert len(reads_of(plan(), "r")) == 1
        assert len(reads_of(plan(), "i")) == 1


def test_a_chain_of_turns_is_looked_up_turn_by_turn(explaining_desk: Desk, plan: Planned) -> None:
    turns = [explaining_desk.create()]
    for _ in range(_NUM_PLANS):
        turns.append(explaining_desk.create(previous_response_id=turns[-1].id))
        explaining_desk.store.items.of_chain(turns[1].project_id, turns[1].id)

        # A hash join would read all responses of the project.
        assert "Hash Join" not in plan()
        assert _num_rows_read(plan(), "i") == 2


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield a pool of one connection, which keeps its prepared statements."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url, pool_size=1)) as database:
        yield database


def test_a_statement_is_planned_once_for_all_values(database: Database) -> None:
    for value in range(_NUM_PLANS):
        with database.upkeep() as connection:
            connection.execute(text("SELECT CAST(:value AS int)"), {"value": value})

    with database.upkeep() as connection:
        generic, custom = connection.execute(_PLANS_MADE).one()
    assert generic > 0
    assert custom == 0


def test_a_search_is_planned_for_its_values(database: Database) -> None:
    for value in range(_NUM_PLANS):
        with database.search(DEFAULT_PROJECT) as connection:
            connection.execute(text("SELECT CAST(:value AS int)"), {"value": value})

    with database.upkeep() as connection:
        generic, custom = connection.execute(
            text(f"{_PLANS_MADE} WHERE statement LIKE 'SELECT CAST%'")
        ).one()
    assert generic == 0
    assert custom > 0
