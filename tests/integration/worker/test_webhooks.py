"""Webhook deliveries: a real receiver, real retries, and verification by the official client."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from flask.testing import FlaskClient
from openai import InvalidWebhookSignatureError, OpenAI

from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.settings import Settings
from tests.integration.api.requests import cancel, create, parsed
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.receiver import ALLOWED, Received, Receiver
from tests.polling import PATIENCE_S, eventually
from worker.maintenance.retention import Retention
from worker.maintenance.webhook_delivery import Deliverer, retry_delay_s


@pytest.fixture
def settings(settings: Settings) -> Settings:
    networks = Settings(webhook_networks=ALLOWED).webhook_networks
    return settings.model_copy(update={"webhook_networks": networks})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def deliverer(settings: Settings) -> Iterator[Deliverer]:
    """Deliver in the background with short intervals; it must end when it is stopped."""
    stopping = threading.Event()
    with closing(Deliverer(settings, poll_s=0.02)) as made:
        thread = threading.Thread(target=made.run, args=[stopping])
        thread.start()
        yield made
        stopping.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def endpoint(http: FlaskClient, receiver: Receiver) -> dict[str, Any]:
    return add_endpoint(http, receiver.url)


def add_endpoint(http: FlaskClient, url: str, **more: Any) -> dict[str, Any]:
    answer = http.post("/v1/webhook_endpoints", json={"url": url, "name": "test"} | more)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def deliveries(
    http: FlaskClient, endpoint: dict[str, Any], query: str = ""
) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/webhook_endpoints/{endpoint['id']}/deliveries{query}")
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = parsed(answer)["data"]
    return listed


def unwrap(got: Received, secret: str) -> Any:
    """Return the event in a request, verified by the official client."""
    return OpenAI(api_key="none").webhooks.unwrap(got.body, got.headers, secret=secret)


def end(desk: Desk, status: ResponseStatus = ResponseStatus.COMPLETED) -> ResponseRecord:
    """Create a background response and end it."""
    claimed = desk.running()
    assert desk.finish(claimed, status)
    return claimed


def wait_for_requests(receiver: Receiver, num_requests: int) -> None:
    eventually(lambda: len(receiver.received) == num_requests)


def make_due(sql: RunSql) -> None:
    """Make every retry due now."""
    sql("UPDATE webhook_deliveries SET next_attempt_at = now()")
    sql("UPDATE webhook_endpoints SET next_probe_at = now() WHERE next_probe_at IS NOT NULL")


@pytest.mark.usefixtures("deliverer", "worker")
def test_it_works(http: FlaskClient, receiver: Receiver, endpoint: dict[str, Any]) -> None:
    response = create(http)

    [got] = eventually(lambda: receiver.received)

    event = unwrap(got, endpoint["signing_secret"])
    assert (event.type, event.data.id) == ("response.completed", response["id"])
    assert got.body.startswith(b'{"id":"evt_')
    assert b"Hello" not in got.body
    [delivery] = eventually(lambda: deliveries(http, endpoint, "?status=delivered"))
    assert delivery["id"] == got.headers["webhook-id"]
    assert delivery["response_id"] == response["id"]
    assert (delivery["num_attempts"], delivery["last_status_code"]) == (1, 200)


@pytest.mark.usefixtures("deliverer")
@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_every_end_is_told(
    http: FlaskClient, desk: Desk, receiver: Receiver, endpoint: dict[str, Any], status: str
) -> None:
    ended = end(desk, ResponseStatus(status))

    [got] = eventually(lambda: receiver.received)

    event = unwrap(got, endpoint["signing_secret"])
    assert (event.type, event.data.id) == (f"response.{status}", response_wire_id(ended.id))


@pytest.mark.usefixtures("deliverer")
def test_the_cancel_of_a_queued_response_is_told(
    http: FlaskClient, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    cancel(http, create(http)["id"])

    [got] = eventually(lambda: receiver.received)

    assert unwrap(got, endpoint["signing_secret"]).type == "response.cancelled"


@pytest.mark.usefixtures("endpoint")
def test_an_end_has_one_row_for_each_endpoint(
    http: FlaskClient, desk: Desk, receiver: Receiver, sql: RunSql
) -> None:
    add_endpoint(http, receiver.url)
    claimed = desk.running()
    assert desk.finish(claimed)

    assert not desk.finish(claimed)

    assert sql("SELECT count(*) FROM webhook_deliveries") == [(2,)]


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("kind", [{}, {"store": False, "parameters": {}}])
@pytest.mark.parametrize("background", [False, True])
def test_only_background_responses_are_told_of(
    desk: Desk, sql: RunSql, kind: dict[str, Any], background: bool
) -> None:
    desk.finish(desk.running(background=background, **kind))

    assert sql("SELECT count(*) FROM webhook_deliveries") == [(int(background),)]


def test_an_endpoint_is_told_of_what_it_asked_for(
    http: FlaskClient, desk: Desk, receiver: Receiver, sql: RunSql
) -> None:
    add_endpoint(http, receiver.url, event_types=["response.failed"])

    end(desk, ResponseStatus.COMPLETED)
    end(desk, ResponseStatus.FAILED)

    assert sql("SELECT event_type FROM webhook_deliveries") == [("response.failed",)]


@pytest.mark.usefixtures("endpoint")
def test_another_projects_endpoint_is_not_told(desk: Desk, sql: RunSql) -> None:
    desk.finish(desk.running(project_id=desk.add_project("other")))

    assert sql("SELECT count(*) FROM webhook_deliveries") == [(0,)]


@pytest.mark.usefixtures("deliverer")
@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_was_not_accepted_is_sent_again_with_the_same_id(
    desk: Desk, sql: RunSql, receiver: Receiver, endpoint: dict[str, Any], status: int
) -> None:
    receiver.location = receiver.url  # a redirect to itself must not be followed
    receiver.answer = lambda _: status if len(receiver.received) < 3 else 204
    end(desk)

    for num_received in (1, 2, 3):
        wait_for_requests(receiver, num_received)
        eventually(lambda: sql("SELECT 1 FROM webhook_deliveries WHERE last_status_code > 0"))
        make_due(sql)

    eventually(lambda: sql("SELECT 1 FROM webhook_deliveries WHERE status = 'delivered'"))
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert len(receiver.received) == 3
    unwrap(receiver.received[-1], endpoint["signing_secret"])


@pytest.mark.usefixtures("deliverer")
def test_a_receiver_that_says_gone_is_told_nothing_more(
    http: FlaskClient, desk: Desk, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    receiver.answer = lambda _: 410
    end(desk)

    [dead] = eventually(lambda: deliveries(http, endpoint, "?status=dead"))

    assert (dead["last_status_code"], dead["last_error"]) == (410, "answered 410")
    assert not parsed(http.get(f"/v1/webhook_endpoints/{endpoint['id']}"))["enabled"]
    end(desk)
    assert len(deliveries(http, endpoint)) == 1


@pytest.mark.usefixtures("deliverer")
def test_a_dead_delivery_is_replayed_once_the_endpoint_is_enabled_again(
    http: FlaskClient, desk: Desk, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    path = f"/v1/webhook_endpoints/{endpoint['id']}"
    receiver.answer = lambda _: 410
    end(desk)
    eventually(lambda: deliveries(http, endpoint, "?status=dead"))
    assert http.post(f"{path}/replay", json={}).status_code == 400
    receiver.answer = lambda _: 200

    http.post(path, json={"enabled": True})
    answer = http.post(f"{path}/replay", json={})

    assert parsed(answer)["num_replayed"] == 1
    eventually(lambda: deliveries(http, endpoint, "?status=delivered"))
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.usefixtures("deliverer")
def test_a_delivery_is_given_up_after_three_days(
    http: FlaskClient,
    desk: Desk,
    sql: RunSql,
    receiver: Receiver,
    endpoint: dict[str, Any],
    retention: Retention,
) -> None:
    receiver.answer = lambda _: 503
    end(desk)
    eventually(lambda: deliveries(http, endpoint)[0]["last_status_code"])
    [(left,)] = sql(
        "SELECT extract(epoch FROM give_up_at - occurred_at) / 3600 FROM webhook_deliveries"
    )
    assert left == pytest.approx(72, abs=0.1)

    sql(
        "UPDATE webhook_deliveries SET give_up_at = now(), next_attempt_at = now() + interval '1 h'"
    )
    retention.sweep()

    [dead] = deliveries(http, endpoint, "?status=dead")
    assert dead["last_error"] == "answered 503"


def test_after_a_rotation_both_secrets_verify_for_a_day(
    http: FlaskClient,
    desk: Desk,
    sql: RunSql,
    receiver: Receiver,
    endpoint: dict[str, Any],
    deliverer: Deliverer,
) -> None:
    old = endpoint["signing_secret"]
    body = {"keep_old_secret_active_for_24_hours": True}
    rotated = http.post(f"/v1/webhook_endpoints/{endpoint['id']}/rotate_secret", json=body)
    new = parsed(rotated)["signing_secret"]

    end(desk)
    [during] = eventually(lambda: receiver.received)
    sql("UPDATE webhook_endpoints SET old_secret_until = now()")
    end(desk)
    _, after = eventually(lambda: receiver.received[1:] and receiver.received)

    assert unwrap(during, old) == unwrap(during, new)
    unwrap(after, new)
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(after, old)


def test_nothing_is_told_of_a_response_that_was_deleted(
    http: FlaskClient, desk: Desk, receiver: Receiver, endpoint: dict[str, Any], sql: RunSql
) -> None:
    deleted = end(desk)

    assert http.delete(f"/v1/responses/{response_wire_id(deleted.id)}").status_code == 200

    assert sql("SELECT 1 FROM webhook_deliveries") == []


def test_an_address_inside_is_refused_when_it_is_delivered_to(
    settings: Settings, desk: Desk, receiver: Receiver, http: FlaskClient, endpoint: dict[str, Any]
) -> None:
    end(desk)
    public_only = settings.model_copy(update={"webhook_networks": ()})
    stopping = threading.Event()
    with closing(Deliverer(public_only)) as deliverer:
        thread = threading.Thread(target=deliverer.run, args=[stopping])
        thread.start()
        [failed] = eventually(lambda: [d for d in deliveries(http, endpoint) if d["last_error"]])
        stopping.set()
        thread.join()

    assert failed["last_error"].startswith("not sent: ")
    assert receiver.received == []


@pytest.fixture
def failing(desk: Desk, sql: RunSql, receiver: Receiver, endpoint: dict[str, Any]) -> int:
    """End twenty responses while the receiver fails; return the number of requests it got.

    They are those sent before the endpoint was marked as failing.
    """
    receiver.answer = lambda _: 503
    for _ in range(20):
        end(desk)
    is_failing = "SELECT 1 FROM webhook_endpoints WHERE next_probe_at > now() + interval '1 s'"
    eventually(lambda: sql(is_failing))
    return len(receiver.received)


@pytest.mark.usefixtures("deliverer")
def test_when_a_receiver_is_back_all_that_it_missed_is_sent_at_once(
    http: FlaskClient, sql: RunSql, receiver: Receiver, endpoint: dict[str, Any], failing: int
) -> None:
    sql("UPDATE webhook_endpoints SET failing_since = now() - interval '1 h'")
    sql(
        "UPDATE webhook_deliveries SET last_attempt_at = now() - interval '1 min',"
        " next_attempt_at = now() + interval '4 h'"
    )
    receiver.answer = lambda _: 200

    sql("UPDATE webhook_endpoints SET next_probe_at = now()")

    eventually(lambda: len(deliveries(http, endpoint, "?status=delivered")) == 20)
    assert len(receiver.received) == failing + 20


@pytest.mark.usefixtures("deliverer")
def test_a_receiver_that_fails_is_tried_with_one_delivery_at_a_time(
    sql: RunSql, receiver: Receiver, failing: int
) -> None:
    make_due(sql)

    eventually(lambda: len(receiver.received) > failing)

    eventually(lambda: sql("SELECT 1 FROM webhook_endpoints WHERE next_probe_at > now()"))
    assert len(receiver.received) == failing + 1


@pytest.mark.usefixtures("deliverer")
def test_a_receiver_that_fails_for_long_is_tried_again_within_45_seconds(
    sql: RunSql, receiver: Receiver, failing: int
) -> None:
    sql(
        "UPDATE webhook_endpoints SET failing_since = now() - interval '1 d', next_probe_at = now()"
    )

    eventually(lambda: len(receiver.received) > failing)

    [[wait_s]] = eventually(
        lambda: sql(
            "SELECT extract(epoch FROM next_probe_at - now()) FROM webhook_endpoints"
            " WHERE next_probe_at > now() + interval '25 s'"  # longer than the delivery's lease
        )
    )
    assert 30 < wait_s <= 45


@pytest.mark.usefixtures("deliverer")
def test_a_receiver_that_hangs_holds_up_no_other_and_no_thread(
    http: FlaskClient, desk: Desk, receiver: Receiver
) -> None:
    release = threading.Event()
    with Receiver() as hanging:
        hanging.answer = lambda _: 200 if release.wait(PATIENCE_S) else 500
        for _ in range(4):
            add_endpoint(http, hanging.url)
        for _ in range(10):
            end(desk)
        eventually(lambda: len(hanging.received) >= 4)
        num_threads = sum("asyncio" in thread.name for thread in threading.enumerate())

        well = add_endpoint(http, receiver.url)
        end(desk)

        eventually(lambda: deliveries(http, well, "?status=delivered"), within_s=30)
        assert sum("asyncio" in thread.name for thread in threading.enumerate()) <= num_threads + 1
        release.set()


def test_a_delivery_that_was_taken_and_not_settled_is_taken_again(
    http: FlaskClient, desk: Desk, sql: RunSql, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    end(desk)
    [lost] = desk.store.deliveries.take()
    assert desk.store.deliveries.take() == []

    make_due(sql)

    [again] = desk.store.deliveries.take()
    assert again.num_attempts == lost.num_attempts + 1
    desk.store.deliveries.mark_delivered(lost, 200)
    assert sql("SELECT status FROM webhook_deliveries") == [("pending",)]
    desk.store.deliveries.mark_delivered(again, 200)
    assert sql("SELECT status FROM webhook_deliveries") == [("delivered",)]


def test_two_processes_do_not_take_the_same(
    desk: Desk, settings: Settings, endpoint: dict[str, Any]
) -> None:
    for _ in range(5):
        end(desk)
    with ThreadPoolExecutor(4) as pool:
        taken = [
            future.result() for future in [pool.submit(desk.store.deliveries.take) for _ in "1234"]
        ]

    assert sorted(len(batch) for batch in taken) == [0, 0, 0, 5]


def test_what_is_pending_for_an_endpoint_that_is_gone_is_forgotten(
    http: FlaskClient, desk: Desk, sql: RunSql, endpoint: dict[str, Any], retention: Retention
) -> None:
    end(desk)
    sql("DELETE FROM webhook_endpoints")  # as if it had been deleted while the response ended

    retention.sweep()

    assert sql("SELECT 1 FROM webhook_deliveries") == []


def test_retries_wait_longer_each_time_and_never_the_same() -> None:
    delays = [retry_delay_s(num_attempts) for num_attempts in range(1, 40)]

    assert 4 <= delays[0] <= 6
    assert max(delays) <= 4 * 3600 * 1.2
    assert len({retry_delay_s(5) for _ in range(10)}) > 1
