"""Leases: renewed while the worker lives, and replaced by a new registration if lost."""

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.errors import UnavailableError
from models.ids import parse_response_id
from models.settings import Settings
from models.store.claims import Claims
from models.store.workers import LEASE_S, Workers
from models.tables import DEFAULT_PROJECT
from tests.integration.api.requests import (
    cancel,
    create,
    create_and_wait,
    fetch,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from worker.engine.scripted import ScriptedEngine
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}
_LONG: dict[str, Any] = {"script_interval_ms": 20, "script_tokens": 200}

_LEASED = "SELECT id FROM workers WHERE lease_until > now()"
_SHORTEN = "UPDATE workers SET lease_until = now() + interval '2 s'"
_RENEWED = "SELECT id FROM workers WHERE lease_until > now() + interval '3 s'"
_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def worker_timings(worker_timings: WorkerTimings) -> WorkerTimings:
    return replace(worker_timings, heartbeat_s=0.02, watchdog_s=0.02)


def mark_cancelled(desk: Desk, response: dict[str, Any]) -> None:
    """Cancel a response without its wake-up."""
    response_id = parse_response_id(response["id"])
    assert response_id is not None
    assert desk.store.claims.request_cancel(DEFAULT_PROJECT, response_id)


@pytest.mark.usefixtures("worker")
def test_it_works(sql: RunSql) -> None:
    leased = sql(_LEASED)
    sql(_SHORTEN)

    assert eventually(lambda: sql(_RENEWED)) == leased


@pytest.mark.usefixtures("worker")
def test_a_worker_publishes_what_it_can_do(sql: RunSql) -> None:
    [[capabilities]] = sql("SELECT capabilities FROM workers")

    assert capabilities == {
        "reads_images": False,
        "constrains_output": False,
        "max_context": 131_072,
    }


@pytest.mark.usefixtures("worker")
def test_cut_connections_do_not_cost_the_lease(sql: RunSql) -> None:
    leased = sql(_LEASED)
    sql(_CUT)
    sql(_SHORTEN)

    assert eventually(lambda: sql(_RENEWED)) == leased


def test_a_worker_that_stops_gives_its_lease_up(settings: Settings, sql: RunSql) -> None:
    with InProcessWorker(settings):
        assert len(sql(_LEASED)) == 1

    assert sql("SELECT id FROM workers") == []


@pytest.mark.usefixtures("worker")
def test_a_worker_that_lost_its_lease_is_another_one_from_then_on(desk: Desk) -> None:
    lost = desk.sql(_LEASED)
    desk.lapse_leases()

    assert eventually(lambda: desk.sql(_LEASED)) != lost


@pytest.mark.usefixtures("worker")
def test_a_worker_that_lost_its_lease_claims_under_the_new_one(
    http: FlaskClient, desk: Desk
) -> None:
    desk.lapse_leases()
    leased = eventually(lambda: desk.sql(_LEASED))

    assert create_and_wait(http)["status"] == "completed"
    assert desk.sql("SELECT worker_id FROM responses") == leased


def test_a_worker_that_lost_its_lease_hands_back_what_nobody_has_taken(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk
) -> None:
    make_worker(**_ENDLESS)
    responses = [create(http) for _ in range(2)]
    for response in responses:
        wait_for_text(http, response["id"])

    desk.lapse_leases()

    taken_up = [(2, 0)] * 2
    eventually(lambda: desk.sql("SELECT attempt, num_crashes FROM responses") == taken_up)


def test_a_worker_may_take_up_again_what_it_lost_with_its_lease(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, maintenance: Maintenance
) -> None:
    worker = make_worker(**_LONG)
    response = create(http)
    wait_for_text(http, response["id"])
    desk.lapse_leases()
    eventually(lambda: desk.sql(_LEASED))

    maintenance.reclaim()
    worker.run_queued()

    assert wait_for_end(http, response["id"])["status"] == "completed"
    assert desk.sql("SELECT attempt FROM responses") == [(2,)]


def test_a_cancel_whose_wake_up_was_lost_arrives_with_the_heartbeat(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk
) -> None:
    worker = make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])

    mark_cancelled(desk, response)

    worker.wait_idle()
    assert desk.sql("SELECT status, attempt FROM responses") == [("cancelled", 1)]


def test_a_heartbeat_cancels_no_other_response(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk
) -> None:
    make_worker(**_ENDLESS)
    cancelled, other = create(http), create(http)
    for response in (cancelled, other):
        wait_for_text(http, response["id"])

    mark_cancelled(desk, cancelled)

    assert wait_for_end(http, cancelled["id"])["status"] == "cancelled"
    assert fetch(http, other["id"])["status"] == "in_progress"


def test_a_worker_that_cannot_renew_stops_writing_and_hands_back_later(
    http: FlaskClient,
    make_worker: MakeWorker,
    worker_timings: WorkerTimings,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It stops by itself after 2 s without a renewal.
    worker = make_worker(**_ENDLESS, timings=replace(worker_timings, lease_margin_s=LEASE_S - 2))
    response = create(http)
    wait_for_text(http, response["id"])
    renew, is_down = Workers.renew, [True]

    def renew_unless_down(*arguments: Any) -> Any:
        if is_down:
            raise UnavailableError
        return renew(*arguments)

    monkeypatch.setattr(Workers, "renew", renew_unless_down)

    worker.wait_idle()
    assert fetch(http, response["id"])["status"] == "in_progress"
    is_down.clear()

    eventually(lambda: desk.sql("SELECT attempt, num_crashes FROM responses") == [(2, 0)])
    assert cancel(http, response["id"])["status"] == "cancelled"


def test_a_claim_whose_answer_was_lost_is_handed_back(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, faults = Claims.claim, [UnavailableError()]

    def claim_unheard(*arguments: Any, **more: Any) -> Any:
        claimed = claim(*arguments, **more)
        if claimed is not None and faults:
            raise faults.pop()
        return claimed

    monkeypatch.setattr(Claims, "claim", claim_unheard)
    make_worker()

    response = create(http)

    assert wait_for_end(http, response["id"])["status"] == "completed"
    assert desk.sql("SELECT attempt, num_crashes FROM responses") == [(2, 0)]


def test_a_worker_whose_engine_hangs_gives_its_lease_up_and_ends(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("worker.process.runtime.os._exit", exits.append)
    make_worker(**_ENDLESS)
    response = create(http)
    wait_for_text(http, response["id"])
    [[worker_id]] = desk.sql(_LEASED)

    monkeypatch.setattr(ScriptedEngine, "is_stuck", True)

    eventually(lambda: exits)
    [[is_ended]] = desk.sql("SELECT lease_until <= now() FROM workers WHERE id = %s", worker_id)
    assert is_ended


def test_a_response_that_has_run_for_too_long_is_cut(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(**_ENDLESS | {"max_response_seconds": 0.2})

    cut = wait_for_end(http, create(http)["id"])

    assert cut["status"] == "incomplete"
    assert cut["incomplete_details"] == {"reason": "max_response_seconds"}
    assert cut["output"][0]["status"] == "incomplete"
