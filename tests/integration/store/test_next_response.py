"""The next response is found in the order of flows, or without it where there is one flow alone."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from models.ids import new_id
from models.store.fairness import next_response
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

ALWAYS, AT_MOST_ONCE = 0.0, 3600.0
"""Pauses in which a statement that was of no use is left out."""


@contextmanager
def counted_orders() -> Iterator[list[str]]:
    """Yield a list of the statements, executed in the block, that put flows in order."""
    orders: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "project_order" in statement:
            orders.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield orders
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_one_flow_is_put_in_no_order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", ALWAYS)
    created, worker = [desk.create() for _ in range(4)], desk.hire()
    first = desk.claim(worker)  # starts the flow

    with counted_orders() as orders:
        later = [desk.claim(worker) for _ in created[1:]]

    assert [each.id for each in (first, *later)] == [each.id for each in created]
    assert not orders


@pytest.mark.parametrize("other", ["project", "end user", "tier"])
def test_several_flows_are_put_in_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", ALWAYS)
    flood, worker = [desk.create() for _ in range(3)], desk.hire()
    desk.claim(worker)
    late = desk.create(**_OTHER_FLOWS[other](desk))

    with counted_orders() as orders:
        order = [desk.claim(worker).id for _ in range(3)]

    assert order.index(late.id) == (2 if other == "tier" else 0)
    assert set(order) == {late.id, flood[1].id, flood[2].id}
    assert len(orders) == 3


_OTHER_FLOWS: dict[str, Callable[[Desk], dict[str, Any]]] = {
    "project": lambda desk: {"project_id": desk.add_project("other")},
    "end user": lambda _: {"end_user": 7},
    "tier": lambda _: {"priority": -1},
}


@pytest.mark.parametrize("pause_s", [ALWAYS, AT_MOST_ONCE])
def test_the_order_is_the_same_by_either_statement(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", pause_s)
    priorities = random.Random(16).choices(range(3), k=12)
    created = [desk.create(priority=priority) for priority in priorities]
    worker = desk.hire()

    with counted_orders() as orders:
        claimed = [desk.claim(worker) for _ in created]

    expected = sorted(created, key=lambda it: (-it.priority, it.id))
    assert [each.id for each in claimed] == [each.id for each in expected]
    assert len(orders) == (1 if pause_s == ALWAYS else len(created))


def test_the_statement_for_one_flow_is_left_out_while_there_are_several(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", AT_MOST_ONCE)
    created, worker = [desk.create() for _ in range(3)], desk.hire()
    desk.claim(worker)

    with counted_orders() as orders:
        later = [desk.claim(worker).id for _ in created[1:]]

    assert later == [each.id for each in created[1:]]
    assert len(orders) == 2


def test_the_limit_of_a_project_holds_for_its_only_flow(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", ALWAYS)
    limited, worker = desk.add_project("limited", max_running=2), desk.hire()
    for _ in range(3):
        desk.create(project_id=limited)
    running = [desk.claim(worker) for _ in range(2)]

    assert desk.store.claims.claim(worker.id, worker.model) is None
    assert desk.finish(running[0])
    assert desk.claim(worker).project_id == limited


@pytest.mark.parametrize(("seconds", "num_claimed"), [(0.0, 3), (3600.0, 1)])
def test_responses_that_no_flow_knows_are_looked_for_at_most_once_in_a_time(
    desk: Desk,
    sql: RunSql,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    num_claimed: int,
) -> None:
    monkeypatch.setattr(next_response, "PAUSE_S", seconds)
    worker = desk.hire()
    for _ in range(3):
        sql(
            "INSERT INTO responses (id, project_id, model, status, background, store)"
            " VALUES (%s, %s, %s, 'queued', true, true)",
            new_id(),
            DEFAULT_PROJECT,
            worker.model,
        )

    claimed = [desk.store.claims.claim(worker.id, worker.model) for _ in range(3)]

    assert sum(response is not None for response in claimed) == num_claimed


def test_a_claim_has_effect_though_its_flows_could_not_be_started(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    created, worker = [desk.create() for _ in range(2)], desk.hire()
    broken = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with monkeypatch.context() as patch:
        patch.setattr(next_response, "_START_FLOWS", broken)
        first = desk.claim(worker)
    assert _starts(desk) == {None}

    second = desk.claim(worker)

    assert [first.id, second.id] == [response.id for response in created]
    assert _starts(desk) == {0.0}


def _starts(desk: Desk) -> set[float | None]:
    """Return the virtual times at which the flows of the project have started."""
    with desk.store.claims._database.upkeep() as connection:
        return set(
            connection.execute(
                text("SELECT virtual_start FROM project_flows WHERE project_id IS NOT NULL")
            ).scalars()
        )
