"""Number of MCP calls that a response has begun: what later attempts must not make again."""

from tests.integration.conftest import RunSql
from tests.integration.desk import Desk


def test_it_works(desk: Desk, sql: RunSql) -> None:
    first = desk.running()

    assert desk.store.checkpoints.begin_call(first, 1)
    assert desk.store.checkpoints.begin_call(first, 2)

    assert first.calls_begun == 0
    desk.store.claims.hand_back([first])
    assert desk.claim().calls_begun == 2


def test_it_never_falls(desk: Desk, sql: RunSql) -> None:
    claimed = desk.running()
    desk.store.checkpoints.begin_call(claimed, 3)

    assert desk.store.checkpoints.begin_call(claimed, 1)

    assert sql("SELECT calls_begun FROM responses") == [(3,)]


def test_a_stale_attempt_begins_no_call(desk: Desk, sql: RunSql) -> None:
    stale = desk.running()
    desk.store.claims.hand_back([stale])
    desk.claim()

    assert not desk.store.checkpoints.begin_call(stale, 1)

    assert sql("SELECT calls_begun FROM responses") == [(0,)]


def test_an_ended_response_begins_no_call(desk: Desk) -> None:
    claimed = desk.running()
    desk.finish(claimed)

    assert not desk.store.checkpoints.begin_call(claimed, 1)


def test_a_call_that_begins_is_progress_between_crashes(desk: Desk, sql: RunSql) -> None:
    claimed = desk.running()
    sql("UPDATE responses SET num_crashes = 2")

    desk.store.checkpoints.begin_call(claimed, 1)

    assert desk.num_crashes(claimed) == 0
