"""Isolation: a response that may crash workers runs alone, and only in an idle worker."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.responses.status import ResponseStatus
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.process.timings import WorkerTimings

_SLOW: dict[str, Any] = {"script_interval_ms": 20, "script_tokens": 100}
_RUNNING = "SELECT id FROM responses WHERE status = 'in_progress'"


def suspect(desk: Desk) -> Any:
    """Return a queued response that must run alone, older than any that the test adds."""
    # Deferred until it is isolated: no worker can claim it in between.
    response = desk.create(not_before=datetime.now(UTC) + timedelta(days=1))
    desk.sql("UPDATE responses SET isolated = true, deferred = false WHERE id = %s", response.id)
    return response


def test_nothing_is_claimed_beside_it(desk: Desk, make_worker: MakeWorker) -> None:
    alone = suspect(desk)
    worker = make_worker(**_SLOW)
    task = worker.run_queued()
    eventually(lambda: desk.sql(_RUNNING) == [(alone.id,)])
    other = desk.create()

    worker.run_queued().result()

    assert desk.status(other) is ResponseStatus.QUEUED
    task.result()
    assert desk.status(alone) is ResponseStatus.COMPLETED
    assert desk.status(other) is ResponseStatus.COMPLETED


def test_a_busy_worker_leaves_it(desk: Desk, make_worker: MakeWorker) -> None:
    busy = desk.create()
    worker = make_worker(**_SLOW)
    task = worker.run_queued()
    eventually(lambda: desk.sql(_RUNNING) == [(busy.id,)])
    alone = suspect(desk)

    worker.run_queued().result()

    assert desk.status(alone) is ResponseStatus.QUEUED
    task.result()
    assert desk.status(alone) is ResponseStatus.COMPLETED


def test_a_worker_that_is_never_idle_makes_room(
    desk: Desk, make_worker: MakeWorker, worker_timings: WorkerTimings
) -> None:
    busy = desk.create()
    worker = make_worker(**_SLOW, timings=replace(worker_timings, poll_s=0.02))
    worker.run_queued()
    eventually(lambda: desk.sql(_RUNNING) == [(busy.id,)])
    alone = suspect(desk)
    eventually(lambda: worker.runtime._running.is_standing_by)
    # Claims are made one after the other: one that did not know yet has ended after this.
    worker.run_queued().result()
    later = desk.create()

    worker.run_queued().result()

    eventually(lambda: desk.status(later) is ResponseStatus.COMPLETED)
    [[is_first]] = desk.sql(
        "SELECT a.started_at < b.started_at FROM responses a, responses b"
        " WHERE a.id = %s AND b.id = %s",
        alone.id,
        later.id,
    )
    assert is_first
