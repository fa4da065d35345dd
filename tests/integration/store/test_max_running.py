"""Limit on the responses of a project that run at a time, kept by claims."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from models.responses.record import ResponseRecord
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT
from tests.factories import usage_of
from tests.integration.desk import Desk
from tests.polling import PATIENCE_S

NUM_WORKERS = 4
_RUNNING = "SELECT count(*) FROM responses WHERE status = 'in_progress' AND project_id = %s"


def queue(desk: Desk, num: int, **changes: Any) -> None:
    for _ in range(num):
        desk.create(**changes)


def try_claim(desk: Desk, worker: WorkerIdentity) -> ResponseRecord | None:
    return desk.store.claims.claim(worker.id, worker.model)


def num_running(desk: Desk, project_id: str) -> int:
    [[num]] = desk.sql(_RUNNING, project_id)
    return int(num)


def test_a_project_runs_no_more_than_it_may_and_goes_on_when_one_ends(desk: Desk) -> None:
    limited = desk.add_project("limited", max_running=2)
    queue(desk, 5, project_id=limited)
    worker = desk.hire()

    first = desk.claim(worker)
    desk.claim(worker)
    assert try_claim(desk, worker) is None

    desk.finish(first)
    assert desk.claim(worker).project_id == limited
    assert try_claim(desk, worker) is None


def test_the_others_get_the_places_that_it_leaves(desk: Desk) -> None:
    limited = desk.add_project("limited", weight=100, max_running=1)
    queue(desk, 5, project_id=limited)
    queue(desk, 5)
    worker = desk.hire()

    claimed = [desk.claim(worker).project_id for _ in range(6)]

    assert sorted(claimed) == [*[DEFAULT_PROJECT] * 5, limited]
    assert try_claim(desk, worker) is None


def test_all_models_and_tiers_count_together(desk: Desk) -> None:
    limited = desk.add_project("limited", max_running=2)
    queue(desk, 1, project_id=limited, model="one")
    queue(desk, 1, project_id=limited, model="two", priority=-2)
    queue(desk, 1, project_id=limited, model="three")
    desk.claim(desk.hire(model="one"))
    desk.claim(desk.hire(model="two"))

    assert try_claim(desk, desk.hire(model="three")) is None


@pytest.mark.parametrize("limits", ["{}", '{"max_running": 3}'])
def test_a_limit_that_is_raised_or_taken_away_holds_at_the_next_claim(
    desk: Desk, limits: str
) -> None:
    limited = desk.add_project("limited", max_running=1)
    queue(desk, 3, project_id=limited)
    worker = desk.hire()
    desk.claim(worker)
    assert try_claim(desk, worker) is None

    desk.sql("UPDATE projects SET limits = CAST(%s AS json)", limits)

    assert {desk.claim(worker).project_id for _ in range(2)} == {limited}


def test_what_flows_do_not_know_of_a_limited_project_waits_for_maintenance(desk: Desk) -> None:
    queue(desk, 2, project_id=desk.add_project("limited", max_running=1))
    desk.sql("DELETE FROM project_flows")
    desk.sql("DELETE FROM user_flows")
    worker = desk.hire()
    assert try_claim(desk, worker) is None

    desk.store.flows.refresh()

    desk.claim(worker)
    assert try_claim(desk, worker) is None


def test_workers_are_woken_only_for_what_may_run(desk: Desk) -> None:
    limited = desk.add_project("limited", max_running=3)
    queue(desk, 5, project_id=limited)
    worker = desk.hire()
    desk.claim(worker)
    assert desk.store.reaper.num_queued() == {worker.model: 2}
    assert desk.store.claims.has_queued(worker.model)
    desk.claim(worker)
    desk.claim(worker)

    assert desk.store.reaper.num_queued() == {worker.model: 0}
    assert not desk.store.claims.has_queued(worker.model)
    queue(desk, 4)
    assert desk.store.reaper.num_queued() == {worker.model: 4}
    assert desk.store.claims.has_queued(worker.model)


def test_a_project_that_may_run_no_more_is_not_the_next_of_those_that_wait(desk: Desk) -> None:
    limited = desk.add_project("limited", max_running=1)
    other = desk.running(project_id=limited)
    desk.create(project_id=limited, end_user=1)

    assert desk.store.flows.find_waiting(other.model) is None


def test_workers_that_claim_at_the_same_time_take_one_place_once(desk: Desk) -> None:
    limited = desk.add_project("limited", max_running=2)
    queue(desk, 60, project_id=limited)
    workers = [desk.hire() for _ in range(NUM_WORKERS)]
    start = Barrier(NUM_WORKERS)

    def claim(worker: WorkerIdentity) -> ResponseRecord | None:
        start.wait(PATIENCE_S)
        return try_claim(desk, worker)

    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        for _ in range(25):
            held = [claimed for claimed in threads.map(claim, workers) if claimed]

            # Neither more, nor fewer because each left the place to the others.
            assert len(held) == num_running(desk, limited) == 2
            assert len({claimed.id for claimed in held}) == 2
            for claimed in held:
                assert desk.finish(claimed, usage=usage_of(input_tokens=9))


def test_claims_of_several_limited_projects_all_end(desk: Desk) -> None:
    names = [desk.add_project(f"limited {number}", max_running=1) for number in range(3)]
    for name in names:
        queue(desk, 20, project_id=name)
    workers = [desk.hire() for _ in range(NUM_WORKERS)]

    def work(worker: WorkerIdentity) -> int:
        num_done = 0
        for _ in range(15):
            if claimed := try_claim(desk, worker):
                assert num_running(desk, claimed.project_id) == 1
                assert desk.finish(claimed, usage=usage_of(input_tokens=9))
                num_done += 1
        return num_done

    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        num_done = sum(threads.map(work, workers))

    # A claim that finds a project full goes on to the next; a deadlock would end it with an error.
    assert num_done >= 15
