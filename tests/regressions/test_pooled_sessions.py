"""A pooler that works by transaction: prepared statements are not found again, nor needed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import OWNER
from models.database.connection import Database
from models.errors import UnavailableError
from models.settings import Settings
from models.store.store import Store
from tests.conftest import on_database
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import MakeWorker, running_app, with_database
from tests.integration.desk import Desk
from tests.pgbouncer import BINARY, PgBouncer
from tests.polling import eventually
from worker.process.timings import WorkerTimings

_BACK_WITHIN_S = 30.0
_STATEMENT = text("SELECT count(*) FROM workers")

with_pooler = pytest.mark.skipif(BINARY is None, reason="PgBouncer is not installed")


def count(database: Database) -> int:
    with database.upkeep() as connection:
        return int(connection.execute(_STATEMENT).scalar_one())


def test_a_prepared_statement_that_is_gone_fails_once_and_is_not_prepared_again(
    settings: Settings,
) -> None:
    database = Database(settings.database_maintenance_url or "", pool_size=1)
    for _ in range(10):
        count(database)
    with database.upkeep() as connection:
        # As if the next statement were given another session; hidden from the driver.
        connection.exec_driver_sql("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")

    with pytest.raises(UnavailableError):
        count(database)

    for _ in range(10):
        count(database)
    with database.upkeep() as connection:
        prepared = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").all()
    database.close()
    assert prepared == []


@pytest.fixture
def pooler(database_url: str, postgres: EmbeddedPostgres) -> Iterator[PgBouncer]:
    """Start a pooler of the owner's sessions: one role for all processes."""
    owner_url = on_database(postgres.url_of(OWNER), database_url.rpartition("/")[2])
    with PgBouncer(owner_url) as started:
        yield started


@pytest.fixture
def pooled(settings: Settings, pooler: PgBouncer) -> Settings:
    return with_database(settings, pooler.url)


@pytest.fixture
def http(pooled: Settings) -> Iterator[FlaskClient]:
    with running_app(pooled) as app:
        yield app.test_client()


@with_pooler
def test_service_is_back_after_a_restart_of_the_pooler(
    http: FlaskClient,
    make_worker: MakeWorker,
    pooled: Settings,
    pooler: PgBouncer,
    worker_timings: WorkerTimings,
) -> None:
    timings = replace(worker_timings, heartbeat_s=0.1, poll_s=0.1, retry_s=0.05)
    urls = {"database_url": pooled.database_url, "database_maintenance_url": None}
    make_worker(timings=timings, **urls)
    eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)
    for _ in range(10):
        eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)

    for _ in range(3):
        pooler.stop()
        refused = http.post("/v1/responses", json={"input": "Hello.", "background": True})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        pooler.start()
        eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)

    assert create_and_wait(http)["status"] == "completed"


@with_pooler
def test_sessions_are_shared_by_projects_but_not_their_rows(pooled: Settings, desk: Desk) -> None:
    """With one session for all of them, a reach that stayed would be that of the next."""
    projects = [desk.add_project(f"project-{number}") for number in range(4)]
    made = {name: desk.create(project_id=name).id for name in projects}
    with closing(Store.open(pooled.database_url or "", pool_size=8)) as store:

        def look(name: str) -> bool:
            # Prepared statements fail once, until they are not prepared any more.
            with suppress(UnavailableError):
                return sees_its_rows(name)
            return sees_its_rows(name)

        def sees_its_rows(name: str) -> bool:
            with store.database.statement(name) as connection:
                seen = set(connection.execute(text("SELECT id FROM responses")).scalars())
            with store.database.upkeep() as connection:
                all_seen = set(connection.execute(text("SELECT id FROM responses")).scalars())
            return seen == {made[name]} and all_seen == {*made.values()}

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(look, projects * 50))


def is_served(http: FlaskClient) -> bool:
    """Return True if a new response is generated; it must not fail in a wrong way."""
    answer = http.post("/v1/responses", json={"input": "Hello."})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200
