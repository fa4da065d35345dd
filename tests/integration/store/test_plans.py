"""Query plans: frequent statements on a response read one partition, by its indexes alone."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy import text

from cli.embedded.roles import APP, MAINTENANCE
from models.database.connection import Database
from models.ids import new_id
from models.profile.weights import SCRIPTED_MODEL
from models.store.listing import ListFilter
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

_PLANS_MADE = text(
    "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%AS int)'"
)

Planned = Callable[..., str]
_CLAIM = "UPDATE responses r"
"""Part of the statement that claims; another one may follow it."""


def _explaining(database_url: str, role: str) -> str:
    """Return the address whose sessions log plans, as only a superuser may have them do."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    return f"{url}?options={quote(f'{_EXPLAINED} -c role={role}')}"


@pytest.fixture
def explaining_desk(database_url: str, sql: RunSql) -> Iterator[Desk]:
    """Yield a `Desk` whose connections log the plan of each executed statement."""
    # As in a new database: plans depend on the pages and the statistics that earlier tests leave.
    sql("VACUUM responses, response_metadata, items")
    sql("DELETE FROM pg_statistic WHERE starelid >= 16384")
    urls = [_explaining(database_url, role) for role in (APP, MAINTENANCE)]
    with closing(Store.open(urls[0], maintenance_url=urls[1], pool_size=1)) as store:
        yield Desk(store, sql)


@pytest.fixture
def plan(caplog: pytest.LogCaptureFixture) -> Planned:
    """Return a function that reads the newest plan, one line for each part that was executed.

    It takes a part of the statement's text.
    """
    caplog.set_level(logging.INFO, "sqlalchemy.dialects.postgresql")

    def newest(of: str = "") -> str:
        return next(m for m in reversed(caplog.messages) if "Query Text" in m and of in m)

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

        assert "Seq Scan on responses" not in plan(_CLAIM)
        assert len(reads_of(plan(_CLAIM), "r")) == 1


def test_a_claim_compares_no_flow_with_every_other(
    explaining_desk: Desk, plan: Planned, sql: RunSql
) -> None:
    sql("INSERT INTO projects (project_id) SELECT 'p' || n FROM generate_series(0, 199) n")
    sql(
        "INSERT INTO responses (id, project_id, model, status, background, store, end_user)"
        " SELECT gen_random_uuid(), 'p' || n / 5, %s, 'queued', true, true, n %% 5"
        " FROM generate_series(0, 999) n",
        SCRIPTED_MODEL,
    )
    explaining_desk.store.flows.refresh()
    worker = explaining_desk.hire()
    for _ in range(_NUM_PLANS):
        explaining_desk.claim(worker)

        # Those of which something runs are looked up one by one.
        assert max(int(num) for num in re.findall(r"loops=(\d+)", plan(_CLAIM))) <= _NUM_PLANS
    starts = plan("project_started")
    assert max(int(num) for num in re.findall(r"loops=(\d+)", starts)) <= _NUM_PLANS


def test_a_claim_does_not_read_what_is_deferred(
    explaining_desk: Desk, plan: Planned, sql: RunSql
) -> None:
    sql(
        "INSERT INTO responses (id, project_id, model, status, background, store, priority,"
        " not_before, deferred) SELECT gen_random_uuid(), 'default', %s, 'queued', true, true, 2,"
        " now() + interval '1 day', true FROM generate_series(1, 500)",
        SCRIPTED_MODEL,
    )
    worker = explaining_desk.hire()
    for _ in range(_NUM_PLANS):
        explaining_desk.create()
        explaining_desk.claim(worker)

        assert "Seq Scan on responses" not in plan(_CLAIM)
        assert _num_rows_read(plan(_CLAIM), "q") <= 3


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


def test_the_input_of_a_response_is_read_from_one_partition(
    explaining_desk: Desk, plan: Planned
) -> None:
    response = explaining_desk.create()
    for _ in range(_NUM_PLANS):
        explaining_desk.store.items.input_of(response.project_id, response.id)

        assert "Seq Scan on items" not in plan()
        assert len(reads_of(plan(), "i")) == 1


def test_a_tree_of_turns_is_looked_up_turn_by_turn(explaining_desk: Desk, plan: Planned) -> None:
    turns = [explaining_desk.create()]
    for _ in range(_NUM_PLANS):
        turns.append(explaining_desk.create(previous_response_id=turns[-1].id))
        explaining_desk.store.chains.around(turns[0].project_id, turns[0].id)

        assert "Hash Join" not in plan()
        assert "previous_response_id = " in _conditions(plan(), _BY_PREVIOUS)


_BY_PREVIOUS = "_(?:by_previous|project_id_previous_response_id)"
"""Index of a partition: of one that was there when it was created, or of a later one."""


def _conditions(plan: str, index: str) -> str:
    """Return the conditions of the scans of an index, or of its partitions, that were executed."""
    scan = re.compile(
        rf"Index (?:Only )?Scan using \S*{index}\S* on [^\n]*\n\s+Index Cond: ([^\n]*)"
    )
    return " ".join(scan.findall(plan))


def test_items_are_found_by_the_ids_that_clients_gave(explaining_desk: Desk, plan: Planned) -> None:
    """Under row-level security as well: a condition on JSON would read all items of the project."""
    response = explaining_desk.create()
    for _ in range(_NUM_PLANS):
        explaining_desk.store.items.by_id(response.project_id, ["mine"])

        assert "item_id = ANY" in _conditions(plan(), "item_id")
        assert "Seq Scan on items" not in plan()


def test_responses_are_listed_by_their_metadata(explaining_desk: Desk, plan: Planned) -> None:
    for number in range(30):
        explaining_desk.create(metadata={"number": str(number % 2), "a": "b"})
    filters = ListFilter(metadata={"number": "1"}, limit=5)

    found = explaining_desk.store.lists.read_page(DEFAULT_PROJECT, filters)

    assert len(found) == 5
    assert "pair = " in _conditions(plan(), "pair")
    # The page and no more: the responses of a pair are read in order.
    assert _num_rows_read(plan(), "r") == 5


def test_another_project_costs_one_comparison(explaining_desk: Desk, plan: Planned) -> None:
    """The policy becomes one of the statement's project with its reach; no row is compared."""
    response = explaining_desk.create()
    for _ in range(_NUM_PLANS):
        explaining_desk.store.responses.get(response.project_id, response.id)

    assert "One-Time Filter" in plan()


@pytest.mark.parametrize(
    "look_up",
    [
        lambda store, found: store.responses.get(DEFAULT_PROJECT, found),
        lambda store, found: store.responses.archived_events(DEFAULT_PROJECT, found),
        lambda store, found: store.responses.delete(DEFAULT_PROJECT, found),
        lambda store, found: store.items.of_chain(DEFAULT_PROJECT, found),
        lambda store, found: store.items.input_of(DEFAULT_PROJECT, found),
        lambda store, found: store.claims.request_cancel(DEFAULT_PROJECT, found),
    ],
)
def test_an_id_of_another_project_is_looked_up_like_an_unknown_one(
    explaining_desk: Desk, plan: Planned, look_up: Callable[[Store, UUID], object]
) -> None:
    """So that the time of the answer does not tell one from the other."""
    foreign = explaining_desk.running(project_id=explaining_desk.add_project("other"))
    explaining_desk.finish(foreign, output=[{}], events=[b"{}"])
    for _ in range(_NUM_PLANS):
        look_up(explaining_desk.store, foreign.id)
        of_foreign = _steps(plan())
        look_up(explaining_desk.store, new_id())

        assert _steps(plan()) == of_foreign
        assert len(of_foreign) > 1


def _steps(plan: str) -> list[str]:
    """Return the steps of a plan with the number of rows of each and of its executions."""
    lines = [
        line.strip() for line in plan.splitlines() if "actual rows=" in line or "never" in line
    ]
    return [re.sub(r"cost=[\d.]+ rows=\d+ width=\d+", "", line) for line in lines]


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
    assert (generic, custom) == (_NUM_PLANS, 0)


def test_a_search_is_planned_for_its_values(database: Database) -> None:
    for value in range(_NUM_PLANS):
        with database.search(DEFAULT_PROJECT) as connection:
            connection.execute(text("SELECT CAST(:value AS int)"), {"value": value})

    with database.upkeep() as connection:
        generic, custom = connection.execute(_PLANS_MADE).one()
    assert (generic, custom) == (0, _NUM_PLANS)
