"""Responses that are not to start before a time: no claim sees them until they are released."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from models.profile.weights import SCRIPTED_MODEL
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.fairness.flows import MAX_RELEASED
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk


def defer(desk: Desk, **changes: Any) -> ResponseRecord:
    """Create a response that is not to start before tomorrow."""
    return desk.create(not_before=datetime.now(UTC) + timedelta(days=1), **changes)


def pass_time(sql: RunSql) -> None:
    """Let the time come of all that is deferred."""
    sql("UPDATE responses SET not_before = now() WHERE deferred")


def test_it_is_not_claimed_before_it_is_released(desk: Desk, sql: RunSql) -> None:
    deferred = defer(desk)
    worker = desk.hire()

    assert desk.store.flows.release_due() == 0
    assert desk.store.claims.claim(worker.id, worker.model) is None
    pass_time(sql)
    assert desk.store.flows.release_due() == 1

    claimed = desk.claim(worker)
    assert claimed.id == deferred.id
    assert claimed.not_before is not None
    assert desk.finish(claimed)


@pytest.mark.parametrize(
    "see",
    [
        lambda store: store.claims.has_queued(SCRIPTED_MODEL),
        lambda store: store.claims.urgent_projects(SCRIPTED_MODEL, [DEFAULT_PROJECT]),
        lambda store: store.flows.find_waiting(SCRIPTED_MODEL),
        lambda store: store.reaper.num_queued(),
        lambda store: store.queue.states(),
    ],
)
def test_nobody_is_put_off_or_woken_for_it(
    desk: Desk, sql: RunSql, see: Callable[[Store], object]
) -> None:
    defer(desk, priority=2)

    assert not see(desk.store)
    pass_time(sql)
    desk.store.flows.release_due()
    assert see(desk.store)


def test_it_counts_for_the_limits_and_in_its_projects_queue(desk: Desk) -> None:
    defer(desk)

    assert desk.store.projects.num_queued() == {(DEFAULT_PROJECT, True): 1}
    [queue] = desk.store.lists.queues(DEFAULT_PROJECT)
    assert (queue.num_queued, queue.oldest_s) == (1, None)


def test_a_project_with_places_claims_it_at_once(desk: Desk, sql: RunSql) -> None:
    """Its flows are known with its release: without one, such a project is passed over."""
    project_id = desk.add_project("limited", max_running=1)
    deferred = {defer(desk, project_id=project_id, end_user=user).id for user in (1, 2)}
    assert sql("SELECT count(*) FROM project_flows") == [(0,)]
    pass_time(sql)
    desk.store.flows.release_due()
    worker = desk.hire()

    for _ in deferred:
        claimed = desk.claim(worker)
        assert claimed.id in deferred
        assert desk.finish(claimed)


def test_it_takes_its_turn_in_the_fair_order(desk: Desk, sql: RunSql) -> None:
    other = desk.add_project("other")
    for _ in range(4):
        defer(desk)
        desk.create(project_id=other)
    pass_time(sql)
    desk.store.flows.release_due()
    worker = desk.hire()

    claimed = [desk.claim(worker).project_id for _ in range(8)]

    assert all(set(claimed[n : n + 2]) == {DEFAULT_PROJECT, other} for n in range(0, 8, 2))


def test_it_can_be_cancelled_and_is_not_released_then(desk: Desk, sql: RunSql) -> None:
    deferred = defer(desk)

    requested = desk.store.claims.request_cancel(deferred.project_id, deferred.id)
    assert requested is not None
    assert desk.finish(requested, ResponseStatus.CANCELLED)
    pass_time(sql)

    assert desk.store.flows.release_due() == 0
    assert desk.status(deferred) is ResponseStatus.CANCELLED


def test_many_are_released_in_several_statements(desk: Desk, sql: RunSql) -> None:
    sql(
        "INSERT INTO responses (id, project_id, model, status, background, store, not_before,"
        " deferred) SELECT gen_random_uuid(), 'default', %s, 'queued', true, true, now(), true"
        " FROM generate_series(0, %s)",
        SCRIPTED_MODEL,
        MAX_RELEASED,
    )

    released = [desk.store.flows.release_due() for _ in range(3)]

    assert released == [MAX_RELEASED, 1, 0]


def test_what_another_has_locked_is_left_to_it(desk: Desk, sql: RunSql, database_url: str) -> None:
    defer(desk)
    pass_time(sql)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT id FROM responses FOR UPDATE")
        assert desk.store.flows.release_due() == 0

    assert desk.store.flows.release_due() == 1
