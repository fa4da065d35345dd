"""Metrics of the queue: what waits, for how long, and for whom."""

import pytest
from flask.testing import FlaskClient

from models.errors import UnavailableError
from models.metrics.table import DEPENDENCY_UP, JOBS, QUEUE_DEPTH, QUEUE_OLDEST, QUEUE_WAIT, WORKERS
from models.profile.weights import SCRIPTED_MODEL
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.store.monitoring.queue import Queue
from tests.factories import id_made_before
from tests.integration.api.requests import create
from tests.integration.conftest import NO_REDIS, MakeWorker, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.metrics.moving import Readings, moves
from tests.polling import eventually
from worker.maintenance.maintenance import Maintenance

_AGE_ONE = """
    UPDATE responses SET created_at = now() - interval '90 s'
    WHERE id = (SELECT id FROM responses LIMIT 1)
"""


@moves(JOBS)
def test_responses_that_have_not_ended_are_counted_by_status(
    desk: Desk, readings: Readings
) -> None:
    running = desk.running()
    for name in ("one", "another"):
        desk.create(project_id=desk.add_project(name))

    assert readings.value(JOBS, status="queued", model=SCRIPTED_MODEL) == 2
    assert readings.value(JOBS, status="in_progress", model=SCRIPTED_MODEL) == 1

    desk.finish(running)
    assert readings.value(JOBS, status="in_progress") == 0


@moves(QUEUE_DEPTH)
@pytest.mark.parametrize("tier", ["flex", "default", "priority"])
def test_the_queue_is_counted_by_service_tier(
    http: FlaskClient, readings: Readings, tier: str
) -> None:
    assert readings.value(QUEUE_DEPTH, priority=tier) == 0

    create(http, service_tier=tier)

    assert readings.value(QUEUE_DEPTH, priority=tier, model=SCRIPTED_MODEL) == 1
    assert readings.value(QUEUE_DEPTH) == 1


@moves(QUEUE_OLDEST)
def test_the_oldest_queued_response_tells_how_long_the_queue_is(
    desk: Desk, sql: RunSql, readings: Readings
) -> None:
    assert readings.value(QUEUE_OLDEST, model=SCRIPTED_MODEL) == 0
    for _ in range(2):
        desk.create()

    sql(_AGE_ONE)

    assert 90 <= readings.value(QUEUE_OLDEST, model=SCRIPTED_MODEL) < 150


@moves(WORKERS)
def test_workers_with_a_lease_are_counted(desk: Desk, readings: Readings) -> None:
    assert readings.value(WORKERS, model=SCRIPTED_MODEL) == 0

    desk.hire()
    assert readings.value(WORKERS, model=SCRIPTED_MODEL) == 1

    desk.lapse_leases()
    assert readings.value(WORKERS, model=SCRIPTED_MODEL) == 0


@moves(QUEUE_WAIT)
def test_the_wait_of_a_response_ends_with_its_first_claim(
    desk: Desk, worker: InProcessWorker, readings: Readings
) -> None:
    desk.create(id=id_made_before(20))

    worker.run_queued()

    readings.wait_for(lambda count: count == 1, QUEUE_WAIT, "_count", model=SCRIPTED_MODEL)
    assert 20 <= readings.value(QUEUE_WAIT, "_sum", model=SCRIPTED_MODEL) < 60


def test_a_claim_of_a_later_attempt_is_no_wait(
    desk: Desk, make_worker: MakeWorker, maintenance: Maintenance, readings: Readings
) -> None:
    lost = desk.running()
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker()

    maintenance.wake()
    eventually(lambda: desk.status(lost) is ResponseStatus.COMPLETED)
    assert readings.value(QUEUE_WAIT, "_count") == 0


@moves(DEPENDENCY_UP)
def test_what_the_api_cannot_reach_is_down_and_the_rest_is_answered(
    settings: Settings, readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_queue: Queue) -> None:
        raise UnavailableError

    assert readings.value(DEPENDENCY_UP, dependency="postgres") == 1
    assert readings.value(DEPENDENCY_UP, dependency="redis") == 1

    with running_app(settings.model_copy(update=NO_REDIS)) as without_redis:
        text = without_redis.test_client().get("/metrics").text
    assert 'antiphon_dependency_up{dependency="redis"} 0.0' in text
    assert "antiphon_workers{" in text

    monkeypatch.setattr(Queue, "states", fail)
    text = readings.text()
    assert 'antiphon_dependency_up{dependency="postgres"} 0.0' in text
    assert "antiphon_queue_depth{" not in text
