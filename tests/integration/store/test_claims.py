from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from models.ids import new_id
from models.responses.status import ACTIVE, TERMINAL, TRANSITIONS, ResponseStatus
from models.tables import DEFAULT_PROJECT
from tests.factories import output_message
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk


def test_it_works(desk: Desk) -> None:
    queued = desk.create()

    claimed = desk.claim()

    assert claimed.id == queued.id
    assert claimed.status is ResponseStatus.IN_PROGRESS
    assert claimed.attempt == 1
    assert desk.finish(claimed)
    assert desk.status(queued) is ResponseStatus.COMPLETED


def test_the_oldest_is_claimed_first(desk: Desk) -> None:
    created = [desk.create().id for _ in range(3)]
    worker = desk.hire()

    assert [desk.claim(worker).id for _ in created] == created


def test_a_higher_priority_is_claimed_before_an_older_one(desk: Desk, sql: RunSql) -> None:
    older, urgent = desk.create(), desk.create()
    sql("UPDATE responses SET priority = 1 WHERE id = %s", urgent.id)
    worker = desk.hire()

    assert [desk.claim(worker).id for _ in range(2)] == [urgent.id, older.id]


def test_a_project_that_floods_the_queue_does_not_starve_another(desk: Desk) -> None:
    flood = desk.add_project("flood")
    for project_id in [flood] * 5 + [DEFAULT_PROJECT] * 2:
        desk.create(project_id=project_id)
    worker = desk.hire()

    order = [desk.claim(worker).project_id for _ in range(7)]

    assert {*order[:2]} == {*order[2:4]} == {flood, DEFAULT_PROJECT}
    assert order[4:] == [flood] * 3


def test_only_responses_of_the_workers_model_are_claimed(desk: Desk) -> None:
    desk.create(model="other")
    worker = desk.hire()

    assert desk.store.claims.claim(worker.id, worker.model) is None


@pytest.mark.parametrize("is_known", [True, False], ids=["lapsed", "unknown"])
def test_a_worker_without_a_lease_gets_nothing(desk: Desk, is_known: bool) -> None:
    queued = desk.create()
    worker_id = desk.hire().id if is_known else new_id()
    desk.lapse_leases()

    assert desk.store.claims.claim(worker_id, queued.model) is None
    assert desk.status(queued) is ResponseStatus.QUEUED


def test_twenty_threads_claim_each_of_two_hundred_rows_once(desk: Desk, sql: RunSql) -> None:
    for _ in range(200):
        desk.create()
    worker = desk.hire()

    def claim_all(_: int) -> list[UUID]:
        mine = []
        while claimed := desk.store.claims.claim(worker.id, worker.model):
            mine.append(claimed.id)
        return mine

    with ThreadPoolExecutor(20) as threads:
        claims = Counter(
            response_id for mine in threads.map(claim_all, range(20)) for response_id in mine
        )

    assert len(claims) == 200
    assert set(claims.values()) == {1}
    assert sql("SELECT DISTINCT attempt FROM responses") == [(1,)]


def test_an_end_is_written_whole(desk: Desk, sql: RunSql) -> None:
    claimed = desk.running()
    output = [output_message(claimed.id)]
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }

    assert desk.finish(claimed, output=output, usage=usage, events=[b'{"a":1}', b'{"b":2}'])

    found = desk.store.responses.get(DEFAULT_PROJECT, claimed.id)
    assert found is not None
    assert (found.output, found.usage) == (output, usage)
    archived = desk.store.responses.archived_events(DEFAULT_PROJECT, claimed.id)
    assert archived == [b'{"a":1}', b'{"b":2}']
    assert sql("SELECT num_events FROM event_archives") == [(2,)]


def test_a_stale_attempt_writes_no_part_of_an_end(desk: Desk, sql: RunSql) -> None:
    stale = desk.running()
    desk.store.claims.hand_back([stale])
    newer = desk.claim()

    assert not desk.finish(stale, output=[output_message(stale.id)], events=[b"{}"])

    assert newer.attempt == stale.attempt + 1
    assert desk.status(newer) is ResponseStatus.IN_PROGRESS
    assert sql("SELECT count(*) FROM items WHERE direction = 'output'") == [(0,)]
    assert sql("SELECT count(*) FROM event_archives") == [(0,)]


def test_the_end_of_an_unstored_response_keeps_neither_output_nor_events(
    desk: Desk, sql: RunSql
) -> None:
    claimed = desk.running(store=False, parameters={})

    assert desk.finish(claimed, output=[output_message(claimed.id)], events=[b"{}"])

    assert desk.status(claimed) is ResponseStatus.COMPLETED
    assert sql("SELECT count(*) FROM items") == [(0,)]
    assert sql("SELECT count(*) FROM event_archives") == [(0,)]


@pytest.mark.parametrize("source", list(ResponseStatus))
@pytest.mark.parametrize("target", sorted(TERMINAL))
def test_an_end_is_reached_from_exactly_the_states_in_the_table(
    desk: Desk, sql: RunSql, source: ResponseStatus, target: ResponseStatus
) -> None:
    held = desk.running()
    sql("UPDATE responses SET status = %s", source)

    assert desk.finish(held, target) is (target in TRANSITIONS[source])

    assert desk.status(held) is (target if target in TRANSITIONS[source] else source)


@pytest.mark.parametrize("source", sorted(set(ResponseStatus) - {ResponseStatus.QUEUED}))
def test_only_a_queued_response_can_be_claimed(
    desk: Desk, sql: RunSql, source: ResponseStatus
) -> None:
    desk.create()
    sql("UPDATE responses SET status = %s", source)
    worker = desk.hire()

    assert desk.store.claims.claim(worker.id, worker.model) is None


@pytest.mark.parametrize("source", sorted(set(ResponseStatus) - {ResponseStatus.IN_PROGRESS}))
def test_only_a_running_response_can_be_handed_back(
    desk: Desk, sql: RunSql, source: ResponseStatus
) -> None:
    held = desk.running()
    sql("UPDATE responses SET status = %s", source)

    assert desk.store.claims.hand_back([held]) == set()
    assert desk.status(held) is source


@pytest.mark.parametrize("source", sorted(TERMINAL))
def test_an_ended_response_can_be_neither_cancelled_nor_taken_over(
    desk: Desk, sql: RunSql, source: ResponseStatus
) -> None:
    held = desk.running()
    sql("UPDATE responses SET status = %s", source)

    assert desk.store.claims.request_cancel(DEFAULT_PROJECT, held.id) is None
    assert desk.store.claims.take_over(held) is None


def test_a_response_that_is_handed_back_has_lost_no_worker(desk: Desk) -> None:
    held, stale = desk.running(), desk.running()
    desk.store.claims.take_over(stale)

    assert desk.store.claims.hand_back([held, stale]) == {held.id}

    assert desk.status(held) is ResponseStatus.QUEUED
    assert desk.status(stale) is ResponseStatus.IN_PROGRESS
    assert desk.num_crashes(held) == 0


def test_responses_of_several_projects_are_handed_back(desk: Desk) -> None:
    held = [desk.running(project_id=desk.add_project(name)) for name in ("one", "two")]
    held.append(desk.running())

    assert desk.store.claims.hand_back(held) == {record.id for record in held}

    assert {desk.status(record) for record in held} == {ResponseStatus.QUEUED}


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_cancel_marks_a_response_that_has_not_ended(desk: Desk, status: ResponseStatus) -> None:
    held = desk.create() if status is ResponseStatus.QUEUED else desk.running()

    marked = desk.store.claims.request_cancel(DEFAULT_PROJECT, held.id)

    assert marked is not None
    assert marked.cancel_requested
    assert marked.status is status


def test_only_one_of_two_takes_a_response_over(desk: Desk) -> None:
    held = desk.running()

    taken = desk.store.claims.take_over(held)

    assert taken is not None
    assert taken.attempt == held.attempt + 1
    assert desk.store.claims.take_over(held) is None
    assert not desk.finish(held)
    assert desk.finish(taken)
