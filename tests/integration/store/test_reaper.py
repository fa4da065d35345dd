import os
import signal
import socket
from datetime import UTC, datetime, timedelta

import pytest

from cli.supervisor.leases import LeaseEnder
from cli.supervisor.processes import Program
from models.exit_deadline import EXIT_LATE
from models.responses.status import ResponseStatus
from models.store.reaper import MAX_CRASHES
from tests.factories import output_message
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.polling import eventually

_SOON = timedelta(minutes=1)


def test_it_works(desk: Desk) -> None:
    lost = desk.running()
    desk.lapse_leases()

    assert desk.store.reaper.reclaim() == [lost.id]

    assert desk.status(lost) is ResponseStatus.QUEUED
    assert desk.num_crashes(lost) == 1
    assert desk.claim().attempt == lost.attempt + 1


def test_the_responses_of_a_living_worker_are_left_alone(desk: Desk) -> None:
    running = desk.running()

    assert desk.store.reaper.reclaim() == []
    assert desk.status(running) is ResponseStatus.IN_PROGRESS


def test_only_the_worker_whose_lease_has_run_out_loses_its_responses(desk: Desk) -> None:
    lost = desk.running()
    desk.lapse_leases()
    desk.running()

    assert desk.store.reaper.reclaim() == [lost.id]


def test_the_responses_of_a_worker_without_a_row_are_reclaimed(desk: Desk) -> None:
    desk.create()
    worker = desk.hire()
    lost = desk.claim(worker)
    desk.store.workers.leave(worker)

    assert desk.store.reaper.reclaim() == [lost.id]


def test_a_response_that_has_lost_its_last_worker_is_not_queued_again(desk: Desk) -> None:
    lost = desk.create()
    for _ in range(MAX_CRASHES - 1):
        desk.claim()
        desk.lapse_leases()
        assert desk.store.reaper.reclaim() == [lost.id]
        assert desk.store.reaper.poisonous() == []
    desk.claim()
    desk.lapse_leases()

    assert desk.store.reaper.reclaim() == []
    assert [stored.id for stored in desk.store.reaper.poisonous()] == [lost.id]


def test_the_queue_is_counted_by_model(desk: Desk) -> None:
    desk.running()
    for model in ("scripted", "scripted", "other"):
        desk.create(model=model)

    assert desk.store.reaper.num_queued() == {"scripted": 2, "other": 1}


def test_finished_responses_expire_with_everything_that_belongs_to_them(
    desk: Desk, sql: RunSql
) -> None:
    ended = desk.running()
    desk.finish(ended, output=[output_message(ended.id)], events=[b"{}"])
    unended = desk.running()

    expired = desk.store.reaper.expire(created_before=datetime.now(UTC) + _SOON)

    assert expired == [ended.id]
    assert sql("SELECT DISTINCT response_id FROM items") == [(unended.id,)]
    assert sql("SELECT count(*) FROM event_archives") == [(0,)]


def test_a_finished_response_within_its_time_is_kept(desk: Desk) -> None:
    desk.finish(desk.running())

    assert desk.store.reaper.expire(created_before=datetime.now(UTC) - _SOON) == []


def test_rows_of_unstored_responses_expire_on_their_own_time(desk: Desk) -> None:
    desk.finish(desk.running())
    unstored = desk.running(background=False, store=False, parameters={})
    desk.finish(unstored)
    temporary = desk.running(store=False, parameters={})
    desk.finish(temporary)
    now, soon = datetime.now(UTC), datetime.now(UTC) + _SOON

    expire = desk.store.reaper.expire_unstored
    assert expire(awaited_before=now - _SOON, temporary_before=now - _SOON) == []
    assert expire(awaited_before=soon, temporary_before=now - _SOON) == [unstored.id]
    assert expire(awaited_before=now - _SOON, temporary_before=soon) == [temporary.id]


@pytest.mark.parametrize("background", [True, False])
def test_unstored_responses_wait_until_they_have_ended(desk: Desk, background: bool) -> None:
    desk.create()
    waiting = desk.create(background=background, store=False, parameters={}, priority=2)

    assert [record.id for record in desk.store.reaper.waiting_unstored()] == [waiting.id]
    claimed = desk.claim()
    assert [record.id for record in desk.store.reaper.waiting_unstored()] == [waiting.id]
    desk.finish(claimed)

    assert desk.store.reaper.waiting_unstored() == []


def test_workers_lost_long_ago_are_forgotten_unless_they_hold_a_response(
    desk: Desk, sql: RunSql
) -> None:
    desk.hire()
    desk.create()
    holder = desk.hire()
    desk.claim(holder)
    sql("UPDATE workers SET lease_until = now() - interval '2 hours'")
    alive = desk.hire()

    desk.store.reaper.forget_workers()

    assert set(sql("SELECT id FROM workers")) == {(holder.id,), (alive.id,)}


def test_what_has_lost_one_worker_may_run_beside_others(desk: Desk) -> None:
    desk.running()
    desk.lapse_leases()

    desk.store.reaper.reclaim()

    assert not desk.claim().isolated


def test_what_has_lost_two_workers_runs_alone(desk: Desk) -> None:
    desk.create()
    for _ in range(2):
        desk.claim()
        desk.lapse_leases()
        desk.store.reaper.reclaim()

    assert desk.claim().isolated


def test_what_ran_in_a_worker_that_came_to_grief_by_itself_runs_alone(desk: Desk) -> None:
    worker = desk.hire()
    desk.create()
    desk.claim(worker)
    ended = desk.store.workers.end_leases(worker.host, worker.pid)

    desk.store.reaper.reclaim(ended)

    assert desk.claim().isolated


@pytest.mark.parametrize(
    ("returncode", "is_isolated"),
    [
        *((0, False), (EXIT_LATE, False), (-signal.SIGTERM, False), (-signal.SIGKILL, False)),
        *((1, True), (70, True), (-signal.SIGSEGV, True)),
    ],
)
def test_what_ran_in_a_worker_that_the_supervisor_saw_end_runs_alone_unless_it_was_asked_to(
    desk: Desk, maintenance_url: str, returncode: int, is_isolated: bool
) -> None:
    response = desk.create()
    desk.claim(desk.hire(host=socket.gethostname(), pid=os.getpid()))
    ender = LeaseEnder()
    ender.database_url = maintenance_url

    ender.on_death(Program(name="worker-1", argv=()), os.getpid(), returncode)

    eventually(lambda: desk.status(response) is ResponseStatus.QUEUED)
    assert desk.claim().isolated is is_isolated
