"""Fixtures of the integration tests: store, log, API and workers on real servers."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api import create_app
from api.streaming.timings import StreamTimings
from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import APP, MAINTENANCE
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import EventLog
from tests.conftest import on_database
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.loop_bridge import bridge
from tests.mcp.process import McpServerProcess
from worker.maintenance.forecasts import ForecastPublisher
from worker.maintenance.maintenance import Maintenance
from worker.maintenance.retention import Retention
from worker.process.timings import WorkerTimings

_NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none"
NO_DATABASE = {"database_url": _NOWHERE, "database_maintenance_url": _NOWHERE}
NO_REDIS = {"redis_url": "redis://127.0.0.1:1"}
"""Settings of addresses that refuse connections."""


class MakeWorker(Protocol):
    """Function that starts a worker with changed settings; it is stopped after the test.

    Its timings are those of the fixture unless others are given.
    """

    def __call__(
        self, *, timings: WorkerTimings | None = None, **changes: Any
    ) -> InProcessWorker: ...


class RunSql(Protocol):
    """Function that runs a statement on the test's database and returns its rows, if any."""

    def __call__(self, statement: str, *values: object) -> list[tuple[Any, ...]]: ...


@pytest.fixture
def app_url(database_url: str, postgres: EmbeddedPostgres) -> str:
    """Return the address of the emptied database for the application's role."""
    return on_database(postgres.url_of(APP), database_url.rpartition("/")[2])


@pytest.fixture
def maintenance_url(database_url: str, postgres: EmbeddedPostgres) -> str:
    """Return the address of the emptied database for the role of the maintenance process."""
    return on_database(postgres.url_of(MAINTENANCE), database_url.rpartition("/")[2])


@pytest.fixture
def settings(app_url: str, maintenance_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Return settings of a fast scripted engine."""
    return Settings(
        engine="scripted",
        database_url=app_url,
        database_maintenance_url=maintenance_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        api_threads=16,
        api_streams=24,
        api_client_streams=24,
        drain_seconds=0.2,
        script_interval_ms=1,
    )


@pytest.fixture
def key_store(settings: Settings) -> Iterator[Store]:
    """Return a store that can create keys."""
    assert settings.database_url is not None
    url, path = settings.database_url, settings.secret_file
    with contextlib.closing(Store.open(url, pool_size=1, secret_file=path)) as store:
        yield store


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    assert settings.database_url is not None
    opened = Store.open(
        settings.database_url,
        maintenance_url=settings.database_maintenance_url,
        content_keys_file=settings.content_keys_file,
    )
    yield opened
    opened.close()


@pytest.fixture
def sql(database_url: str) -> Iterator[RunSql]:
    with psycopg.connect(database_url, autocommit=True) as connection:

        def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client of Valkey."""
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture
def log(client: redis.Redis) -> EventLog:
    return EventLog(client)


@pytest.fixture
def desk(store: Store, sql: RunSql) -> Desk:
    """Return a `Desk`, to move responses by hand as workers would."""
    return Desk(store, sql)


@pytest.fixture
def stream_timings() -> StreamTimings:
    return StreamTimings()


@pytest.fixture
def app(settings: Settings, stream_timings: StreamTimings) -> Iterator[OpenAPI]:
    with running_app(settings, stream_timings) as made:
        yield made


@pytest.fixture
def http(app: OpenAPI) -> FlaskClient:
    """Return a client of the API that needs no server."""
    return app.test_client()


@pytest.fixture
def worker_timings() -> WorkerTimings:
    """Return timings of workers that stop at once, and start work only for wake-ups."""
    return WorkerTimings(cancel_poll_s=0.02, poll_s=60, preempt_s=60)


@pytest.fixture
def unaware_timings(worker_timings: WorkerTimings) -> WorkerTimings:
    """Return timings of a worker that goes on writing once its lease has expired, unaware of it."""
    return replace(worker_timings, heartbeat_s=60)


@pytest.fixture
def make_worker(
    settings: Settings, worker_timings: WorkerTimings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeWorker]:
    """Return a function that starts workers.

    It needs `monkeypatch`, so that what a test replaces stays replaced until its workers stop.
    """
    with contextlib.ExitStack() as stack:

        def make(*, timings: WorkerTimings | None = None, **changes: Any) -> InProcessWorker:
            changed = settings.model_copy(update=changes)
            return stack.enter_context(InProcessWorker(changed, timings or worker_timings))

        yield make


@pytest.fixture
def worker(make_worker: MakeWorker) -> InProcessWorker:
    """Start a fast worker that reacts to every wake-up."""
    return make_worker()


@pytest.fixture
def maintenance(settings: Settings, maintenance_url: str) -> Iterator[Maintenance]:
    """Return maintenance whose rounds the test runs."""
    changed = with_database(settings, maintenance_url)
    with contextlib.closing(Maintenance(changed, interval_s=0.02)) as made:
        yield made


@pytest.fixture
def forecasts(settings: Settings, maintenance_url: str) -> Iterator[ForecastPublisher]:
    """Return the publisher of forecasts, which the test has publish, every 2 s by its clock."""
    changed, clock = with_database(settings, maintenance_url), itertools.count(0.0, 2.0)
    with contextlib.closing(ForecastPublisher(changed, clock.__next__)) as made:
        yield made


@pytest.fixture
def retention(settings: Settings, maintenance_url: str) -> Iterator[Retention]:
    """Return retention whose sweeps the test runs."""
    with contextlib.closing(Retention(with_database(settings, maintenance_url))) as made:
        yield made


@pytest.fixture(scope="session")
def shared_mcp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServerProcess]:
    """Start an MCP server in a process of its own, which takes a second."""
    with McpServerProcess(tmp_path_factory.mktemp("mcp")) as started:
        yield started


@pytest.fixture
def mcp_server(shared_mcp_server: McpServerProcess) -> McpServerProcess:
    """Return an MCP server that has received no call."""
    shared_mcp_server.renew()
    return shared_mcp_server


def with_database(settings: Settings, url: str) -> Settings:
    """Return the settings with the address of another database, or of another role."""
    validated = Settings(database_url=url).database_url
    return settings.model_copy(update={"database_url": validated, "database_maintenance_url": None})


@contextlib.contextmanager
def running_app(settings: Settings, timings: StreamTimings = StreamTimings()) -> Iterator[OpenAPI]:
    made = create_app(settings, timings)
    bridge(made)
    yield made
    made.extensions["antiphon"].close()
