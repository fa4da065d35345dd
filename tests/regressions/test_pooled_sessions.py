"""A pooler that works by transaction: prepared statements are not found again, nor needed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from models.database.connection import Database
from models.errors import UnavailableError
from models.settings import Settings
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import MakeWorker, running_app
from tests.pgbouncer import BINARY, PgBouncer
from tests.polling import eventually
from worker.process.timings import WorkerTimings

_BACK_WITHIN_S = 5.0
_STATEMENT = text("SELECT count(*) FROM workers")

with_pooler = pytest.mark.skipif(BINARY is None, reason="PgBouncer is not installed")


def count(database: Database) -> int:
    with database.upkeep() as connection:
        return int(connection.execute(_STATEMENT).scalar_one())


def test_a_prepared_statement_that_is_gone_fails_once_and_is_not_prepared_again(
    settings: Settings,
) -> None:
    database = Database(settings.database_url or "", pool_size=1)
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
def pooler(database_url: str) -> Iterator[PgBouncer]:
    with PgBouncer(database_url) as started:
        yield started


@pytest.fixture
def pooled(settings: Settings, pooler: PgBouncer) -> Settings:
    url = pooler.url.replace("postgresql://", "postgresql+psycopg://", 1)
    return settings.model_copy(update={"database_url": url})


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
    make_worker(timings=timings, database_url=pooled.database_url)
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


def is_served(http: FlaskClient) -> bool:
    """Return True if a new response is generated; it must not fail in a wrong way."""
    answer = http.post("/v1/responses", json={"input": "Hello."})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200
