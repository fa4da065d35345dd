"""States of the queue from which forecasts are made."""

from datetime import UTC, datetime, timedelta

import pytest

from models.profile.weights import SCRIPTED_MODEL
from models.tables import DEFAULT_PROJECT
from tests.factories import usage_of
from tests.integration.desk import Desk


def test_flows_have_what_is_queued_and_running(desk: Desk) -> None:
    limited = desk.add_project("limited", weight=2, max_running=3)
    worker = desk.hire()
    for _ in range(3):
        desk.create(project_id=limited, end_user=1)
    desk.create(project_id=limited, priority=-2)
    desk.create(project_id=limited, not_before=datetime.now(UTC) + timedelta(days=1))
    assert desk.finish(desk.claim(worker), usage=usage_of(output_tokens=100))
    desk.claim(worker)

    state = desk.store.forecasts.of_models()[SCRIPTED_MODEL]

    assert state.num_workers == 1
    flows = {flow.is_flex: flow for flow in state.flows}
    assert (flows[False].num_queued, flows[False].num_running) == (1, 1)
    assert (flows[True].num_queued, flows[True].num_running) == (1, 0)
    assert (flows[False].weight, flows[False].max_running) == (2, 3)
    assert flows[False].estimate == flows[False].service == 50
    assert flows[False].virtual_time == pytest.approx(50)


def test_a_model_without_responses_has_workers(desk: Desk) -> None:
    desk.hire(model="idle")

    state = desk.store.forecasts.of_models()["idle"]

    assert (state.num_workers, state.flows) == (1, ())


def test_a_projects_queue_is_in_the_order_of_claims(desk: Desk) -> None:
    other = desk.add_project("other")
    mine = [desk.create(end_user=user, priority=p) for user, p in ((1, 0), (2, 0), (1, 0), (1, 1))]
    desk.create(project_id=other)
    desk.create(not_before=datetime.now(UTC) + timedelta(days=1))
    worker = desk.hire()

    queue = desk.store.forecasts.of_project(DEFAULT_PROJECT, SCRIPTED_MODEL)

    assert queue.num_ids == 4
    expected = sorted(mine, key=lambda each: queue.num_ahead(each.priority, each.end_user, each.id))
    claimed = []
    while (found := desk.store.claims.claim(worker.id, worker.model)) is not None:
        if found.project_id == DEFAULT_PROJECT:
            claimed.append(found.id)
            assert desk.finish(found, usage=usage_of(output_tokens=10))
    assert claimed[0] == expected[0].id == mine[3].id
    assert set(claimed[1:]) == {each.id for each in expected[1:]}
