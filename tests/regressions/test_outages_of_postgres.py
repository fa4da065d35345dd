"""Postgres refuses to work for a while: requests are refused, and all resumes by itself after."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy.engine import make_url

from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import MAINTENANCE, OWNER
from models.errors import DatabaseBusyError, UnavailableError
from models.settings import Settings
from models.store.responses import Responses
from tests.integration.api.requests import create, create_and_wait, wait_for_end
from tests.integration.conftest import MakeWorker, running_app, with_database
from tests.polling import eventually
from worker.process.timings import WorkerTimings

_BACK_WITHIN_S = 30.0
_LIMITED = "limited"
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'antiphon' AND usename = 'limited'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Statements that make Postgres refuse, and those that mend it, as its administrator."""

    strike: tuple[str, ...]
    mend: tuple[str, ...]


FAULTS = {
    "read-only, by reload": Fault(
        strike=(
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        ),
        mend=("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"),
    ),
    # Sessions that begin meanwhile stay read-only after it: they must be replaced.
    "read-only, by session": Fault(
        strike=(
            f"ALTER ROLE {_LIMITED} SET default_transaction_read_only = on",
            _END_SESSIONS,
        ),
        mend=(f"ALTER ROLE {_LIMITED} RESET default_transaction_read_only",),
    ),
    "rights revoked": Fault(
        strike=(f"REVOKE ALL ON responses, workers FROM {_LIMITED}",),
        mend=(f"GRANT ALL ON responses, workers TO {_LIMITED}",),
    ),
    "schema revoked": Fault(
        strike=(
            "REVOKE USAGE ON SCHEMA public FROM public",
            f"REVOKE USAGE ON SCHEMA public FROM {_LIMITED}",
        ),
        mend=("GRANT USAGE ON SCHEMA public TO public",),
    ),
    "tables renamed": Fault(
        strike=("ALTER TABLE responses RENAME TO away", "ALTER TABLE workers RENAME TO away_2"),
        mend=("ALTER TABLE away RENAME TO responses", "ALTER TABLE away_2 RENAME TO workers"),
    ),
    "column renamed": Fault(
        strike=(
            "ALTER TABLE responses RENAME status TO away",
            "ALTER TABLE workers RENAME lease_until TO away",
        ),
        mend=(
            "ALTER TABLE responses RENAME away TO status",
            "ALTER TABLE workers RENAME away TO lease_until",
        ),
    ),
    "no connections": Fault(
        strike=(f"ALTER ROLE {_LIMITED} CONNECTION LIMIT 0", _END_SESSIONS),
        mend=(f"ALTER ROLE {_LIMITED} CONNECTION LIMIT -1",),
    ),
    "no login": Fault(
        strike=(f"ALTER ROLE {_LIMITED} NOLOGIN", _END_SESSIONS),
        mend=(f"ALTER ROLE {_LIMITED} LOGIN",),
    ),
}


_LET_UPKEEP = f"""
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT polrelid::regclass FROM pg_policy WHERE polname = 'upkeep' LOOP
            EXECUTE format('ALTER POLICY upkeep ON %s TO {OWNER}, {MAINTENANCE}, {_LIMITED}', name);
        END LOOP;
    END $$
"""


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection]:
    """Return a connection of the superuser, which no fault affects."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


@pytest.fixture
def settings(settings: Settings, admin: psycopg.Connection) -> Iterator[Settings]:
    """Return settings with a role that has rights which can be revoked."""
    admin.execute(f"CREATE ROLE {_LIMITED} LOGIN PASSWORD 'secret'".encode())
    admin.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {_LIMITED}".encode())
    admin.execute(_LET_UPKEEP.encode())
    url = make_url(settings.database_url or "").set(username=_LIMITED, password="secret")
    yield with_database(settings, url.render_as_string(hide_password=False))
    admin.execute(_END_SESSIONS.encode())
    admin.execute(f"DROP OWNED BY {_LIMITED}".encode())
    admin.execute(f"DROP ROLE {_LIMITED}".encode())


@pytest.fixture
def http(settings: Settings) -> Iterator[FlaskClient]:
    with running_app(settings) as app:
        yield app.test_client()


@pytest.fixture
def timings(worker_timings: WorkerTimings) -> WorkerTimings:
    return replace(worker_timings, heartbeat_s=0.1, poll_s=0.1, retry_s=0.05)


@contextlib.contextmanager
def outage(admin: psycopg.Connection, fault: Fault) -> Iterator[None]:
    """Keep Postgres from working inside the context."""
    try:
        for statement in fault.strike:
            admin.execute(statement.encode())
        yield
    finally:
        for statement in fault.mend:
            admin.execute(statement.encode())


@pytest.mark.parametrize("fault", FAULTS)
def test_requests_are_refused_until_later_and_service_is_back_after(
    http: FlaskClient,
    make_worker: MakeWorker,
    timings: WorkerTimings,
    admin: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    caplog.set_level(logging.WARNING)
    make_worker(timings=timings)
    create_and_wait(http)

    with outage(admin, FAULTS[fault]):
        eventually(lambda: is_refused(http))
        eventually(lambda: "lease not renewed" in caplog.messages)
        assert is_refused(http)

    eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)
    eventually(lambda: "over: lease not renewed" in caplog.messages)
    assert caplog.messages.count("lease not renewed") == 1


def test_a_held_lock_refuses_requests_and_ends_with_it(
    http: FlaskClient,
    make_worker: MakeWorker,
    timings: WorkerTimings,
    admin: psycopg.Connection,
    database_url: str,
) -> None:
    make_worker(timings=timings)
    create_and_wait(http)

    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE responses, workers IN ACCESS EXCLUSIVE MODE")
        assert is_refused(http)
        # What gave up waiting leaves no backend behind that waits on.
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert admin.execute(waiting).fetchone() < (20,)  # type: ignore[operator]

    eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)


@pytest.mark.parametrize(
    ("error", "num_tries"), [(DatabaseBusyError(), 1), (UnavailableError(), 2)]
)
def test_a_request_that_waited_in_vain_does_not_wait_again(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: UnavailableError, num_tries: int
) -> None:
    tries: list[None] = []

    def fail(*_: object, **__: object) -> bool:
        tries.append(None)
        raise error

    monkeypatch.setattr(Responses, "create", fail)

    assert is_refused(http)
    assert len(tries) == num_tries


def test_what_was_running_is_finished_after_the_outage(
    http: FlaskClient, make_worker: MakeWorker, timings: WorkerTimings, admin: psycopg.Connection
) -> None:
    make_worker(timings=timings, script_tokens=30, script_interval_ms=20)
    response = create(http)
    eventually(lambda: http.get(f"/v1/responses/{response['id']}").json["status"] != "queued")  # type: ignore[index]

    with outage(admin, FAULTS["rights revoked"]):
        eventually(lambda: is_refused(http))

    assert wait_for_end(http, response["id"])["status"] == "completed"


def test_a_worker_that_starts_meanwhile_serves_after(
    http: FlaskClient, make_worker: MakeWorker, timings: WorkerTimings, admin: psycopg.Connection
) -> None:
    with outage(admin, FAULTS["read-only, by session"]):
        make_worker(timings=timings)
        assert is_refused(http)

    eventually(lambda: is_served(http), within_s=_BACK_WITHIN_S)


def test_of_several_hosts_the_primary_is_used(
    postgres: EmbeddedPostgres, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with EmbeddedPostgres(tmp_path_factory.mktemp("standby")) as standby:
        port, host = standby.port, f"127.0.0.1:{postgres.port}"
        url = (settings.database_url or "").replace(host, f"127.0.0.1:{port},{host}")
        # The first has neither the role nor the tables.
        with running_app(settings.model_copy(update={"database_url": url})) as app:
            assert app.test_client().get("/v1/responses").status_code == 200
        standby.stop()
        standby.discard()


def is_refused(http: FlaskClient) -> bool:
    """Return True if a request is refused as it should be; it must not fail in another way."""
    answer = http.post("/v1/responses", json={"input": "Hello.", "background": True})
    assert answer.status_code in (200, 503), answer.text
    assert answer.status_code == 200 or answer.headers["retry-after"].isdigit()
    return answer.status_code == 503


def is_served(http: FlaskClient) -> bool:
    """Return True if a new response is generated."""
    answer = http.post("/v1/responses", json={"input": "Hello.", "store": True})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200
