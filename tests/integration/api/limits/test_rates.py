"""Requests and tokens per minute of a project."""

from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client
from werkzeug.test import TestResponse

from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from models.tables import DEFAULT_PROJECT
from tests.integration.api.limits.conftest import Limit
from tests.integration.api.requests import create, create_and_wait, error_of, parsed
from tests.integration.conftest import NO_REDIS, MakeWorker, RunSql, running_app
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually

_BODY = {"input": "Hello.", "background": True}
_KEY = f"antiphon:limits:{{{DEFAULT_PROJECT}}}"


def rates(answer: TestResponse) -> dict[str, str]:
    """Return the headers about limits, without their common prefix."""
    prefix = "x-ratelimit-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in answer.headers
        if name.lower().startswith(prefix)
    }


def used(client: redis.Redis) -> dict[str, int]:
    """Return what is counted of the default project."""
    values: Any = client.hmget(_KEY, ["r", "i", "o"])
    return dict(zip(("requests", "input", "output"), (int(v or 0) for v in values), strict=True))


def test_it_works(http: FlaskClient, limit: Limit) -> None:
    limit(requests_per_minute=2)
    first, second, third = (http.post("/v1/responses", json=_BODY) for _ in range(3))

    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    error = error_of(third)
    assert (error["type"], error["code"]) == ("too_many_requests", "rate_limit_exceeded")
    assert error["message"].startswith(
        "The project may use 2 requests per minute. Please try again in "
    )
    assert 55 <= int(third.headers["Retry-After"]) <= 60
    assert 55_000 < int(third.headers["retry-after-ms"]) <= 60_000
    assert [rates(a)["remaining-requests"] for a in (first, second, third)] == ["1", "0", "0"]
    assert rates(third)["limit-requests"] == "2"
    assert rates(third)["reset-requests"].endswith("s")


def test_a_project_without_limits_has_no_headers_and_is_not_counted(
    http: FlaskClient, client: redis.Redis
) -> None:
    answer = http.post("/v1/responses", json=_BODY)

    assert rates(answer) == {}
    assert not [key for key in client.scan_iter("antiphon:limits:*") if b"{}" not in key]


def test_every_answer_says_what_is_left(http: FlaskClient, limit: Limit) -> None:
    limit(requests_per_minute=5, input_tokens_per_minute=1000, output_tokens_per_minute=100)
    before = http.get("/v1/models")
    http.post("/v1/responses", json=_BODY | {"max_output_tokens": 40})
    after = http.get("/v1/models")

    assert rates(before)["remaining-requests"] == "5"
    assert rates(before)["reset-requests"] == "0ms"
    left = rates(after)
    assert (left["remaining-requests"], left["remaining-output-tokens"]) == ("4", "60")
    assert (left["limit-tokens"], left["remaining-tokens"]) == ("100", "60")
    assert int(left["remaining-input-tokens"]) < 1000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", _BODY),
        (
            "/v1/chat/completions",
            {"model": SCRIPTED_MODEL, "messages": [{"role": "user", "content": "Hi."}]},
        ),
        ("/v1/responses/compact", {"model": SCRIPTED_MODEL, "input": "Hello."}),
        ("/v1/conversations", {}),
    ],
)
def test_whatever_creates_something_is_limited(
    http: FlaskClient, limit: Limit, path: str, body: dict[str, Any]
) -> None:
    limit(requests_per_minute=1)
    create(http)

    answer = http.post(path, json=body)

    assert (answer.status_code, error_of(answer)["code"]) == (429, "rate_limit_exceeded")


def test_nothing_else_is(http: FlaskClient, limit: Limit) -> None:
    limit(requests_per_minute=1)
    response_id = create(http)["id"]

    assert http.get(f"/v1/responses/{response_id}").status_code == 200
    assert http.post(f"/v1/responses/{response_id}/cancel").status_code == 200
    assert http.post("/v1/responses/input_tokens", json={"input": "Hello."}).status_code == 200
    assert http.delete(f"/v1/responses/{response_id}").status_code == 200


def test_input_tokens_are_limited(http: FlaskClient, limit: Limit) -> None:
    tokens = parsed(http.post("/v1/responses/input_tokens", json={"input": "Hello."}))
    limit(input_tokens_per_minute=tokens["input_tokens"] * 2 + 1)

    statuses = [http.post("/v1/responses", json=_BODY).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    ("limits", "param"),
    [
        ({"input_tokens_per_minute": 1}, "input"),
        ({"output_tokens_per_minute": 49}, "max_output_tokens"),
    ],
)
def test_what_no_waiting_helps_is_said_to_be(
    http: FlaskClient, limit: Limit, limits: dict[str, int], param: str
) -> None:
    limit(**limits)

    answer = http.post("/v1/responses", json=_BODY | {"max_output_tokens": 50})

    assert answer.status_code == 429
    error = error_of(answer)
    assert (error["type"], error["code"], error["param"]) == (
        "insufficient_quota",
        "insufficient_quota",
        param,
    )
    assert answer.headers["x-should-retry"] == "false"
    assert "Retry-After" not in answer.headers


def test_every_choice_reserves_its_output(
    http: FlaskClient, limit: Limit, client: redis.Redis
) -> None:
    limit(output_tokens_per_minute=1000)

    create(http, max_output_tokens=50, n=3)

    assert used(client)["output"] == 150


def test_the_end_of_a_response_settles_what_it_reserved(
    http: FlaskClient, limit: Limit, client: redis.Redis, make_worker: MakeWorker
) -> None:
    limit(input_tokens_per_minute=1000, output_tokens_per_minute=1000)
    make_worker(script_tokens=7)

    usage = create_and_wait(http, max_output_tokens=500)["usage"]

    assert usage["output_tokens"] < 20
    eventually(lambda: used(client)["output"] == usage["output_tokens"])
    assert used(client)["input"] == usage["input_tokens"]


@pytest.mark.parametrize("body", [{"store": False}, {"stream": True, "background": False}])
def test_it_does_however_it_is_asked(
    http: FlaskClient,
    limit: Limit,
    client: redis.Redis,
    make_worker: MakeWorker,
    body: dict[str, bool],
) -> None:
    limit(output_tokens_per_minute=1000)
    make_worker(script_tokens=7)

    answer = http.post("/v1/responses", json=_BODY | {"max_output_tokens": 500} | body)

    assert answer.status_code == 200
    assert answer.data
    eventually(lambda: 0 < used(client)["output"] < 20)


def test_a_response_whose_worker_is_lost_is_settled_by_the_next(
    http: FlaskClient,
    limit: Limit,
    client: redis.Redis,
    make_worker: MakeWorker,
    sql: RunSql,
) -> None:
    limit(output_tokens_per_minute=1000)
    created = create(http, max_output_tokens=500)
    sql("UPDATE responses SET attempt = 3, num_crashes = 1")
    assert used(client)["output"] == 500

    make_worker(script_tokens=7).run_queued()

    eventually(lambda: parsed(http.get(f"/v1/responses/{created['id']}"))["status"] == "completed")
    eventually(lambda: 0 < used(client)["output"] < 20)


def test_cancelling_what_is_queued_gives_its_output_back(
    http: FlaskClient, limit: Limit, client: redis.Redis
) -> None:
    limit(output_tokens_per_minute=1000)
    created = create(http, max_output_tokens=500)

    http.post(f"/v1/responses/{created['id']}/cancel")

    assert used(client)["output"] == 0


def test_deleting_what_runs_does_not_hide_its_tokens(
    http: FlaskClient, limit: Limit, client: redis.Redis, make_worker: MakeWorker
) -> None:
    limit(output_tokens_per_minute=1000)
    worker = make_worker(script_tokens=400, script_interval_ms=5)
    created = create(http, max_output_tokens=500)
    eventually(
        lambda: parsed(http.get(f"/v1/responses/{created['id']}"))["status"] == "in_progress"
    )

    http.delete(f"/v1/responses/{created['id']}")

    worker.wait_idle()
    eventually(lambda: used(client)["output"] < 500)


def test_a_repetition_is_not_counted_again(
    http: FlaskClient, limit: Limit, client: redis.Redis
) -> None:
    limit(requests_per_minute=1)
    first, again = (
        http.post("/v1/responses", json=_BODY, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )

    assert parsed(again)["id"] == parsed(first)["id"]
    assert used(client)["requests"] == 1


def test_what_is_refused_for_another_reason_is_not_counted(
    http: FlaskClient, limit: Limit, client: redis.Redis
) -> None:
    limit(requests_per_minute=5)
    conversation = parsed(http.post("/v1/conversations", json={}))["id"]
    create(http, conversation=conversation)

    locked = http.post("/v1/responses", json=_BODY | {"conversation": conversation})
    invalid = http.post("/v1/responses", json=_BODY | {"temperature": 9})

    assert (error_of(locked)["code"], invalid.status_code) == ("conversation_locked", 400)
    assert used(client)["requests"] == 2


def test_turns_of_a_websocket_are_limited(app: OpenAPI, limit: Limit) -> None:
    limit(requests_per_minute=1)
    with serving(app) as address:
        socket = Client.connect(f"ws://{address}/v1/responses")
        for stream_id in ("a", "b"):
            message = {"type": "response.create", "input": "Hello.", "stream_id": stream_id}
            socket.send(orjson.dumps(message).decode())
        frame: dict[str, Any] = {}
        while frame.get("type") != "error":
            frame = orjson.loads(socket.receive(timeout=PATIENCE_S))
        socket.close()

    assert (frame["status"], frame["error"]["code"]) == (429, "rate_limit_exceeded")


def test_processes_count_together(settings: Settings, limit: Limit) -> None:
    limit(requests_per_minute=5)
    with running_app(settings) as one, running_app(settings) as other:
        clients = [one.test_client(), other.test_client()] * 4
        statuses = [http.post("/v1/responses", json=_BODY).status_code for http in clients]

    assert statuses == [200] * 5 + [429] * 3


def test_without_redis_a_process_keeps_to_its_share(settings: Settings, limit: Limit) -> None:
    limit(requests_per_minute=4)
    away = settings.model_copy(update=NO_REDIS | {"api_processes": 2})
    with running_app(away) as app:
        http = app.test_client()
        statuses = [http.post("/v1/responses", json=_BODY).status_code for _ in range(4)]

    assert statuses == [200, 200, 429, 429]
