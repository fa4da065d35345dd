"""A project that floods the queue is refused, and takes nothing from the others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from cli.embedded import EmbeddedValkey
from models.settings import Settings
from models.tables import DEFAULT_PROJECT
from tests.factories import usage_of
from tests.integration.api.requests import create, error_of, parsed
from tests.integration.conftest import MakeWorker, running_app
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually

_BODY = {"input": "Hello.", "background": True}


@pytest.fixture(params=["max_queued", "max_queued_per_project"])
def limit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def refusal(limit: str) -> tuple[int, str]:
    """Return status and type of the error: the client can help the one, and nobody the other."""
    return (503, "server_error") if limit == "max_queued" else (429, "too_many_requests")


@pytest.fixture
def limited(settings: Settings, limit: str) -> Iterator[OpenAPI]:
    """Return an API that lets three responses wait."""
    with running_app(settings.model_copy(update={limit: 3})) as made:
        yield made


@pytest.fixture
def flooded(limited: OpenAPI, desk: Desk) -> FlaskClient:
    """Return a client of an API whose queue is full, in the background and in the foreground."""
    http: FlaskClient = limited.test_client()
    for _ in range(3):
        desk.create(background=False)
    for _ in range(3):
        create(http)
    return http


def test_a_request_beyond_the_limit_is_refused_by_its_name(
    flooded: FlaskClient, limit: str, refusal: tuple[int, str], desk: Desk
) -> None:
    answer = flooded.post("/v1/responses", json=_BODY)

    assert (answer.status_code, error_of(answer)["type"]) == refusal
    assert error_of(answer)["code"] == "queue_full"
    assert int(answer.headers["Retry-After"]) > 0
    assert f"ANTIPHON_{limit.upper()} is 3" in error_of(answer)["message"]
    assert desk.sql("SELECT count(*) FROM responses") == [(6,)]


@pytest.mark.parametrize(
    "changes", [{"background": False}, {"background": False, "store": False}, {"stream": True}]
)
def test_it_is_refused_however_it_is_asked(
    flooded: FlaskClient, refusal: tuple[int, str], changes: dict[str, bool]
) -> None:
    assert flooded.post("/v1/responses", json=_BODY | changes).status_code == refusal[0]


@pytest.mark.usefixtures("flooded")
def test_it_is_refused_on_a_websocket(limited: OpenAPI, refusal: tuple[int, str]) -> None:
    with serving(limited) as address:
        socket = Client.connect(f"ws://{address}/v1/responses")
        socket.send(orjson.dumps({"type": "response.create", "input": "Hello."}).decode())
        frame = orjson.loads(socket.receive(timeout=PATIENCE_S))
        socket.close()

    assert (frame["status"], frame["error"]["code"]) == (refusal[0], "queue_full")


def test_a_repeated_request_finds_its_response_although_the_queue_is_full(
    limited: OpenAPI,
) -> None:
    http = limited.test_client()
    first, again = (
        http.post("/v1/responses", json=_BODY, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    for _ in range(2):
        create(http)

    found = http.post("/v1/responses", json=_BODY, headers={"Idempotency-Key": "k"})

    assert found.status_code == 200
    assert parsed(found)["id"] == parsed(again)["id"] == parsed(first)["id"]


def test_there_is_room_again_once_the_queue_is_shorter(
    flooded: FlaskClient, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    for _ in range(4):
        worker.run_queued()

    eventually(lambda: flooded.post("/v1/responses", json=_BODY).status_code == 200)


def test_a_client_that_waits_is_served_before_a_flood_of_jobs(
    limited: OpenAPI, desk: Desk, make_worker: MakeWorker
) -> None:
    http = limited.test_client()
    for _ in range(3):
        create(http)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: http.post("/v1/responses", json={"input": "Hello."}))
        eventually(lambda: desk.sql("SELECT count(*) FROM responses") == [(4,)])

        make_worker().run_queued()

    assert waiting.result().status_code == 200
    first = "SELECT background FROM responses ORDER BY started_at NULLS LAST LIMIT 1"
    assert desk.sql(first) == [(False,)]


def test_a_tier_takes_nothing_from_another_project(desk: Desk) -> None:
    flood = desk.add_project("flood")
    for _ in range(6):
        desk.create(project_id=flood, priority=3)
    desk.create()
    worker = desk.hire()

    claimed = {desk.claim(worker).project_id for _ in range(2)}

    assert claimed == {flood, DEFAULT_PROJECT}


def test_a_worker_with_room_for_one_serves_every_project(desk: Desk) -> None:
    flood = desk.add_project("flood")
    for _ in range(64):
        desk.create(project_id=flood, priority=1)
    desk.create()
    worker = desk.hire()

    served = []
    for _ in range(2):
        claimed = desk.claim(worker)
        desk.finish(claimed, usage=usage_of(input_tokens=100))
        served.append(claimed.project_id)

    assert DEFAULT_PROJECT in served


def test_preemption_is_for_responses_of_the_same_project(desk: Desk) -> None:
    flood = desk.add_project("flood")
    urgent = desk.create(project_id=flood, priority=2)
    desk.create(priority=1)

    projects = {flood, DEFAULT_PROJECT}
    assert desk.store.claims.urgent_projects(urgent.model, projects) == {flood}
    assert desk.store.claims.urgent_projects(urgent.model, {DEFAULT_PROJECT}) == set()


def test_the_queue_refuses_writes_beyond_its_memory(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey", max_mib=64)
    with server, redis.Redis.from_url(server.url) as client:
        for number in range(48):
            client.set(f"key-{number}", bytes(1 << 20))

        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("last", bytes(32 << 20))

        assert client.exists("key-0")
