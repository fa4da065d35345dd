"""Redis refuses to work for a while: stored responses complete, and streams resume after."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
from flask.testing import FlaskClient

from cli.embedded import EmbeddedValkey
from cli.embedded.ports import free_port
from models.settings import Settings
from tests.integration.api.requests import create, create_and_wait, events, stream
from tests.integration.conftest import MakeWorker, running_app
from tests.polling import eventually
from worker.process.timings import WorkerTimings

_BACK_WITHIN_S = 30.0
_UNSTORED = {"input": "Hello.", "store": False}
_ENDLESS = "while true do end"

Change = Callable[[redis.Redis], object]


def _end_clients(client: redis.Redis) -> None:
    client.client_kill_filter(_type="normal", skipme=True)
    client.client_kill_filter(_type="pubsub", skipme=True)


def _follow_nobody(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", str(free_port()))


def _lead(client: redis.Redis) -> None:
    client.replicaof("NO", "ONE")


def _change_password(client: redis.Redis) -> None:
    client.config_set("requirepass", "another")
    _end_clients(client)


def _allow_one_client(client: redis.Redis) -> None:
    client.config_set("maxclients", 1)
    _end_clients(client)


def _keep_busy(client: redis.Redis) -> None:
    client.config_set("busy-reply-threshold", 1)
    address = client.connection_pool.connection_kwargs
    other = redis.Redis(address["host"], address["port"], password=address["password"])

    def spin() -> None:
        with contextlib.suppress(redis.RedisError):
            other.eval(_ENDLESS, 0)

    threading.Thread(target=spin, daemon=True).start()
    eventually(lambda: _is_busy(client))


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


WRITES_REFUSED: dict[str, tuple[Change, Change]] = {
    "READONLY": (_follow_nobody, _lead),
    "NOREPLICAS": (
        lambda client: client.config_set("min-replicas-to-write", 1),
        lambda client: client.config_set("min-replicas-to-write", 0),
    ),
    "OOM": (
        lambda client: client.config_set("maxmemory", 1),
        lambda client: client.config_set("maxmemory", 0),
    ),
    "WRONGPASS": (
        _change_password,
        lambda client: client.config_set("requirepass", _password(client)),
    ),
    "max clients": (
        _allow_one_client,
        lambda client: client.config_set("maxclients", 10_000),
    ),
    "BUSY": (_keep_busy, lambda client: client.script_kill()),
    "NOPERM": (
        lambda client: client.execute_command("ACL", "SETUSER", "default", "-@write"),  # type: ignore[no-untyped-call]
        lambda client: client.execute_command("ACL", "SETUSER", "default", "+@all"),  # type: ignore[no-untyped-call]
    ),
}
"""Name of the refusal, the fault and its end."""


def _password(client: redis.Redis) -> str:
    return str(client.connection_pool.connection_kwargs["password"])


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """Start a server of this module's own: its faults would spoil the others' tests."""
    with EmbeddedValkey(tmp_path_factory.mktemp("broken")) as server:
        yield server


@pytest.fixture
def redis_url(broken: EmbeddedValkey) -> str:
    with redis.Redis.from_url(broken.url) as client:
        client.flushall()
    return broken.url


@pytest.fixture
def admin(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client with one connection, which the faults spare."""
    with redis.Redis.from_url(redis_url, single_connection_client=True) as client:
        client.ping()
        yield client


@pytest.fixture
def http(settings: Settings) -> Iterator[FlaskClient]:
    with running_app(settings) as app:
        yield app.test_client()


@contextlib.contextmanager
def outage(admin: redis.Redis, name: str) -> Iterator[None]:
    strike, mend = WRITES_REFUSED[name]
    strike(admin)
    try:
        yield
    finally:
        mend(admin)


@pytest.mark.parametrize("name", WRITES_REFUSED)
def test_stored_responses_complete_meanwhile_and_all_is_served_after(
    http: FlaskClient,
    make_worker: MakeWorker,
    worker_timings: WorkerTimings,
    admin: redis.Redis,
    name: str,
) -> None:
    make_worker(timings=replace(worker_timings, poll_s=0.1, redis_away_s=0.1))
    create_and_wait(http)

    with outage(admin, name):
        assert create_and_wait(http)["status"] == "completed"
        refused = http.post("/v1/responses", json=_UNSTORED)
        assert refused.status_code == 503, refused.text
        assert refused.headers["retry-after"].isdigit()

    eventually(
        lambda: http.post("/v1/responses", json=_UNSTORED).status_code == 200,
        within_s=_BACK_WITHIN_S,
    )
    streamed = events(stream(http, create(http)["id"]))
    assert [each["sequence_number"] for each in streamed] == list(range(len(streamed)))


def test_a_flush_of_scripts_delays_no_event(
    http: FlaskClient, make_worker: MakeWorker, admin: redis.Redis
) -> None:
    make_worker(script_tokens=60, script_interval_ms=10)
    response = create(http)
    eventually(lambda: admin.keys("antiphon:log:*"))

    admin.script_flush()

    streamed = events(stream(http, response["id"]))
    assert streamed[-1]["type"] == "response.completed"
    assert [each["sequence_number"] for each in streamed] == list(range(len(streamed)))
