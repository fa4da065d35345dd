"""The previous release on this schema: it knows one project, and sets no reach."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from models.database import dialect
from models.database.connection import Database
from models.responses.status import ResponseStatus
from models.store.item_pages import PageQuery
from models.store.listing import ListFilter
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.factories import output_message
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

_REGISTER = text("""
    INSERT INTO workers (id, project_id, name, model, host, pid, lease_until)
    VALUES (gen_random_uuid(), 'default', 'old', 'old', 'host', 1, now() + interval '5 s')
""")
_DROP = text("SELECT drop_month(:label)")


@pytest.fixture(autouse=True)
def without_reach(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute statements as the previous release does; another project has rows by now."""
    desk.create(project_id=desk.add_project("other"))
    monkeypatch.setattr(Database, "upkeep", lambda database: database.statement(DEFAULT_PROJECT))
    monkeypatch.setattr(dialect, "with_reach", lambda statement: statement)
    monkeypatch.setattr(dialect, "reach_parameters", lambda parameters, _reach: parameters)


@pytest.fixture(params=["app_url", "maintenance_url"])
def previous(request: pytest.FixtureRequest, sql: RunSql) -> Iterator[Desk]:
    """Return a desk as one role, which workers and maintenance had as well as the API."""
    url = request.getfixturevalue(request.param).replace("postgresql://", "postgresql+psycopg://")
    with closing(Store.open(url)) as store:
        yield Desk(store, sql)


def test_responses_are_created_claimed_and_finished(previous: Desk) -> None:
    store = previous.store
    for number in range(8):
        previous.create(metadata={"number": str(number)})
        first = previous.claim()
        assert store.claims.hand_back([first]) == {first.id}
        claimed = previous.claim()
        assert (claimed.id, claimed.project_id, claimed.attempt) == (first.id, DEFAULT_PROJECT, 2)
        assert previous.finish(claimed, output=[output_message(claimed.id)], events=[b"{}"])

        found = store.responses.get(DEFAULT_PROJECT, claimed.id)
        assert found is not None
        assert found.status is ResponseStatus.COMPLETED
        assert [item["id"] for item in found.output] == [f"msg_{claimed.id.hex}_0"]
        assert store.responses.archived_events(DEFAULT_PROJECT, claimed.id) == [b"{}"]
        listed = ListFilter(metadata={"number": str(number)})
        assert len(store.lists.read_page(DEFAULT_PROJECT, listed)) == 1
        page = store.items.input_pages.read(DEFAULT_PROJECT, claimed.id, PageQuery(limit=5))
        assert page is not None
        assert len(page.items) == 1
    assert len(store.lists.read_page(DEFAULT_PROJECT, ListFilter())) == 8


def test_workers_keep_their_leases_and_lost_ones_are_noticed(previous: Desk) -> None:
    store, worker = previous.store, previous.hire()
    previous.create()
    claimed = previous.claim(worker)
    assert [row.id for row in store.workers.renew(worker)] == [claimed.id]
    assert store.reaper.num_queued() == {}

    previous.lapse_leases()

    assert store.reaper.reclaim() == [claimed.id]
    assert store.reaper.num_queued() == {claimed.model: 1}


def test_workers_register_without_what_they_can_do(previous: Desk, sql: RunSql) -> None:
    with previous.store.database.statement(DEFAULT_PROJECT) as connection:
        connection.execute(_REGISTER)

    assert previous.store.workers.served_models(DEFAULT_PROJECT) == ["old"]
    assert previous.store.workers.published_capabilities(DEFAULT_PROJECT) == {}
    assert sql("SELECT capabilities FROM workers") == [(None,)]


def test_what_has_expired_is_deleted_and_nothing_else(previous: Desk, sql: RunSql) -> None:
    previous.finish(previous.running(), output=[])

    assert len(previous.store.reaper.expire(created_before=datetime.now(UTC))) == 1

    assert sql("SELECT project_id FROM responses") == [("other",)]


def test_months_are_added_and_dropped(maintenance_url: str, sql: RunSql) -> None:
    url = maintenance_url.replace("postgresql://", "postgresql+psycopg://")
    later = datetime(2033, 5, 1, tzinfo=UTC)
    with closing(Store.open(url)) as store:
        added = store.partitions.add(later)
        assert added == ["2033_05", "2033_06", "2033_07"]
        with store.database.upkeep() as connection:
            for label in added:
                assert connection.execute(_DROP, {"label": label}).scalar_one() is True
            this_month = {"label": f"{datetime.now(UTC):%Y_%m}"}
            assert connection.execute(_DROP, this_month).scalar_one() is False
    assert sql("SELECT count(*) FROM responses") == [(1,)]
