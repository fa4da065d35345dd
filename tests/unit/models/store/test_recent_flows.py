"""Flows that were entered a moment ago."""

from dataclasses import replace

from models.store.fairness.charges import FRESH_S
from models.store.fairness.recent_flows import RecentFlows
from tests.factories import stored_response


def test_a_flow_is_recent_for_as_long_as_it_counts_as_fresh() -> None:
    now = 0.0
    flows, new = RecentFlows(lambda: now), stored_response()
    assert not flows.has(new)

    flows.add(new)

    now = FRESH_S - 0.01
    assert flows.has(new)
    now = FRESH_S + 0.01
    assert not flows.has(new)


def test_each_model_tier_project_and_end_user_has_a_flow() -> None:
    flows, new = RecentFlows(), stored_response(end_user=1)

    flows.add(new)

    assert flows.has(replace(new, priority=2))
    others = ({"model": "m"}, {"priority": -1}, {"project_id": "p"}, {"end_user": 2})
    assert not any(flows.has(replace(new, **other)) for other in others)
