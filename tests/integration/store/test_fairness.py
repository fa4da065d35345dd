"""Order of claims: fair queueing over projects by weight, and over the end users of each."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from models.responses.record import ResponseRecord
from models.store.fairness.charges import CACHED_FACTOR, cost_of
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT
from tests.factories import usage_of
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk


def queue(desk: Desk, num: int, **changes: Any) -> None:
    for _ in range(num):
        desk.create(**changes)


def run_off(
    desk: Desk, worker: WorkerIdentity, num: int, tokens: int | dict[str, int] = 100
) -> list[ResponseRecord]:
    """Claim and finish so many responses one after the other; return them.

    `tokens` is the usage of each, or that of each by its project.
    """
    done = []
    for _ in range(num):
        claimed = desk.claim(worker)
        used = tokens if isinstance(tokens, int) else tokens[claimed.project_id]
        assert desk.finish(claimed, usage=usage_of(input_tokens=used - 1, output_tokens=1))
        done.append(claimed)
    return done


def by_project(responses: Iterable[ResponseRecord]) -> Counter[str]:
    return Counter(response.project_id for response in responses)


def by_user(responses: Iterable[ResponseRecord]) -> Counter[int]:
    return Counter(response.end_user for response in responses)


def test_projects_take_turns(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        queue(desk, 10, project_id=desk.add_project(name))
    worker = desk.hire()

    assert by_project(run_off(desk, worker, 15)) == {"a": 5, "b": 5, "c": 5}


def test_long_responses_count_for_more_than_short_ones(desk: Desk) -> None:
    for name in ("long", "short"):
        queue(desk, 60, project_id=desk.add_project(name))
    worker = desk.hire()

    done = by_project(run_off(desk, worker, 55, {"long": 1000, "short": 100}))

    assert done["long"] == pytest.approx(5, abs=1)
    assert done["short"] == pytest.approx(50, abs=1)


def test_a_project_gets_tokens_by_its_weight(desk: Desk) -> None:
    for weight in (1, 2, 4):
        queue(desk, 50, project_id=desk.add_project(f"weight {weight}", weight=weight))
    worker = desk.hire()

    done = by_project(run_off(desk, worker, 70))

    assert done["weight 1"] == pytest.approx(10, abs=1)
    assert done["weight 2"] == pytest.approx(20, abs=1)
    assert done["weight 4"] == pytest.approx(40, abs=1)


def test_places_of_a_worker_are_shared_while_nothing_has_ended(desk: Desk) -> None:
    for name in ("a", "b"):
        queue(desk, 10, project_id=desk.add_project(name))
    worker = desk.hire()

    assert by_project(desk.claim(worker) for _ in range(8)) == {"a": 4, "b": 4}


def test_an_idle_project_saves_nothing_up(desk: Desk) -> None:
    busy, idle = desk.add_project("busy"), desk.add_project("idle")
    queue(desk, 1, project_id=idle)
    queue(desk, 60, project_id=busy)
    worker = desk.hire()
    run_off(desk, worker, 30)
    desk.store.flows.refresh()

    queue(desk, 40, project_id=idle)

    assert by_project(run_off(desk, worker, 20)) == {busy: 10, idle: 10}


def test_a_project_that_is_new_comes_next_and_then_takes_turns(desk: Desk) -> None:
    busy, new = desk.add_project("busy"), desk.add_project("new")
    queue(desk, 60, project_id=busy)
    worker = desk.hire()
    run_off(desk, worker, 30)
    running = desk.claim(worker)

    queue(desk, 20, project_id=new)

    assert [response.project_id for response in run_off(desk, worker, 1)] == [new]
    desk.finish(running, usage=usage_of(input_tokens=100))
    assert by_project(run_off(desk, worker, 19)) == pytest.approx({busy: 10, new: 9}, abs=1)


def test_a_project_that_is_new_does_not_get_every_place_before_its_first_response_ends(
    desk: Desk,
) -> None:
    busy, new = desk.add_project("busy"), desk.add_project("new")
    queue(desk, 60, project_id=busy)
    worker = desk.hire()
    run_off(desk, worker, 30)
    desk.claim(worker)

    queue(desk, 20, project_id=new)

    assert by_project(desk.claim(worker) for _ in range(7)) == {busy: 3, new: 4}


def test_a_project_that_used_more_than_its_share_waits_while_others_are_queued(desk: Desk) -> None:
    spent, other = desk.add_project("spent"), desk.add_project("other")
    queue(desk, 10, project_id=spent)
    queue(desk, 10, project_id=other)
    worker = desk.hire()
    run_off(desk, worker, 2, {spent: 1000, other: 100})

    assert by_project(run_off(desk, worker, 9)) == {other: 9}


def test_nothing_is_owed_once_nothing_is_queued(desk: Desk, sql: RunSql) -> None:
    spent, other = desk.add_project("spent"), desk.add_project("other")
    queue(desk, 1, project_id=spent)
    queue(desk, 1, project_id=other)
    worker = desk.hire()
    run_off(desk, worker, 2, {spent: 1000, other: 100})

    desk.store.flows.refresh()

    queue(desk, 10, project_id=spent)
    queue(desk, 10, project_id=other)
    assert by_project(run_off(desk, worker, 10, 200)) == {spent: 5, other: 5}


def test_idle_flows_are_forgotten_some_time_after_they_were_seen(desk: Desk, sql: RunSql) -> None:
    worker = desk.hire()
    queue(desk, 2)
    run_off(desk, worker, 1)
    claimed = desk.claim(worker)

    def num_kept() -> list[tuple[int, ...]]:
        sql("UPDATE project_flows SET seen_at = now() - interval '1 min'")
        sql("UPDATE user_flows SET seen_at = now() - interval '1 min'")
        desk.store.flows.refresh()
        return sql("SELECT (SELECT count(*) FROM project_flows), (SELECT count(*) FROM user_flows)")

    assert num_kept() == [(1, 1)], "one of its responses runs"
    desk.finish(claimed)
    assert num_kept() == [(0, 0)]


def test_responses_of_the_previous_release_are_claimed_and_then_take_turns(
    desk: Desk, sql: RunSql
) -> None:
    for name in ("old", "new"):
        queue(desk, 10, project_id=desk.add_project(name))
    sql("DELETE FROM project_flows WHERE project_id = 'old'")
    sql("DELETE FROM user_flows WHERE project_id = 'old'")
    worker = desk.hire()
    assert by_project(run_off(desk, worker, 2)) == {"new": 2}

    desk.store.flows.refresh()

    assert by_project(run_off(desk, worker, 6)) == pytest.approx({"new": 3, "old": 3}, abs=1)


def test_what_flows_do_not_know_is_claimed_if_there_is_nothing_else(
    desk: Desk, sql: RunSql
) -> None:
    queued = desk.create()
    sql("DELETE FROM project_flows")
    sql("DELETE FROM user_flows")

    assert desk.claim().id == queued.id


def test_flows_that_a_response_counts_on_in_vain_are_entered_by_the_next_refresh(
    desk: Desk, sql: RunSql
) -> None:
    first = desk.create()
    sql("DELETE FROM project_flows")
    sql("DELETE FROM user_flows")
    second = desk.create()
    assert sql("SELECT 1 FROM project_flows") == []

    desk.store.flows.refresh()

    assert sql("SELECT project_id FROM project_flows") == [(DEFAULT_PROJECT,)]
    assert sql("SELECT project_id FROM user_flows") == [(DEFAULT_PROJECT,)]
    assert [each.id for each in run_off(desk, desk.hire(), 2)] == [first.id, second.id]


def test_one_end_user_does_not_starve_another(desk: Desk) -> None:
    queue(desk, 50, end_user=1)
    queue(desk, 5, end_user=2)
    worker = desk.hire()

    assert by_user(run_off(desk, worker, 10)) == {1: 5, 2: 5}


def test_end_users_take_turns_by_tokens(desk: Desk) -> None:
    queue(desk, 30, end_user=1)
    queue(desk, 30, end_user=2)
    worker = desk.hire()

    def use(claimed: ResponseRecord) -> ResponseRecord:
        tokens = 900 if claimed.end_user == 1 else 100
        desk.finish(claimed, usage=usage_of(input_tokens=tokens))
        return claimed

    done = by_user(use(desk.claim(worker)) for _ in range(20))

    assert done == pytest.approx({1: 2, 2: 18}, abs=1)


def test_an_end_user_who_was_idle_saves_nothing_up(desk: Desk) -> None:
    queue(desk, 1, end_user=2)
    queue(desk, 60, end_user=1)
    worker = desk.hire()
    run_off(desk, worker, 30)
    desk.store.flows.refresh()

    queue(desk, 20, end_user=2)

    assert by_user(run_off(desk, worker, 20)) == {1: 10, 2: 10}


def test_end_users_of_one_project_do_not_count_for_another(desk: Desk) -> None:
    many, one = desk.add_project("many"), desk.add_project("one")
    for end_user in range(1, 11):
        queue(desk, 2, project_id=many, end_user=end_user)
    queue(desk, 20, project_id=one, end_user=1)
    worker = desk.hire()

    assert by_project(run_off(desk, worker, 20)) == {many: 10, one: 10}


def test_a_tier_orders_the_responses_of_a_project_whoever_they_are_for(desk: Desk) -> None:
    queue(desk, 3, end_user=1)
    worker = desk.hire()
    run_off(desk, worker, 1)
    urgent = [desk.create(end_user=1, priority=2).id for _ in range(2)]
    queue(desk, 3, end_user=2)

    assert [response.id for response in run_off(desk, worker, 2)] == urgent


def test_a_tier_of_one_project_is_nothing_to_another(desk: Desk) -> None:
    urgent, other = desk.add_project("urgent"), desk.add_project("other")
    queue(desk, 10, project_id=urgent, priority=2)
    queue(desk, 10, project_id=other)
    worker = desk.hire()

    assert by_project(run_off(desk, worker, 10)) == {urgent: 5, other: 5}


def test_flex_yields_to_everybody(desk: Desk) -> None:
    flex, other = desk.add_project("flex"), desk.add_project("other")
    queue(desk, 3, project_id=flex, priority=-2)
    queue(desk, 3, project_id=other)
    queue(desk, 2, project_id=flex)
    worker = desk.hire()

    done = run_off(desk, worker, 8)

    assert [response.priority for response in done] == [0] * 5 + [-2] * 3


def test_flex_of_several_projects_takes_turns(desk: Desk) -> None:
    for name in ("a", "b"):
        queue(desk, 10, project_id=desk.add_project(name), priority=-2)
    worker = desk.hire()

    assert by_project(run_off(desk, worker, 10)) == {"a": 5, "b": 5}


def test_what_a_project_uses_by_flex_is_not_held_against_it(desk: Desk) -> None:
    flex, other = desk.add_project("flex"), desk.add_project("other")
    queue(desk, 5, project_id=flex, priority=-2)
    worker = desk.hire()
    run_off(desk, worker, 5, 1000)

    queue(desk, 5, project_id=flex)
    queue(desk, 5, project_id=other)

    assert by_project(run_off(desk, worker, 6)) == {flex: 3, other: 3}


def test_an_unstored_response_takes_its_turn_like_any_other(desk: Desk) -> None:
    queue(desk, 4, end_user=1)
    queue(desk, 4, end_user=2, store=False, parameters={})
    worker = desk.hire()

    assert by_user(run_off(desk, worker, 4)) == {1: 2, 2: 2}


def test_cached_tokens_are_charged_in_part() -> None:
    usage = usage_of(input_tokens=100, cached_tokens=80, output_tokens=7)

    assert cost_of(usage) == 20 + 80 * CACHED_FACTOR + 7
    assert cost_of(None) == 0


def service(desk: Desk) -> list[tuple[float, ...]]:
    return desk.sql("SELECT p.service, u.service FROM project_flows p, user_flows u")


def test_a_response_that_is_put_back_has_paid_for_its_tokens_so_far_once(desk: Desk) -> None:
    desk.sql("UPDATE projects SET weight = 2")
    first = desk.running()
    desk.store.claims.hand_back([with_usage(first, 60)])
    assert service(desk) == [(30, 60)]

    second = desk.claim()
    assert second.charged == 60
    desk.store.claims.hand_back([with_usage(second, 60)])
    assert service(desk) == [(30, 60)]

    third = desk.claim()
    desk.finish(third, usage=usage_of(input_tokens=99, output_tokens=1))
    assert service(desk) == [(50, 100)]


def test_a_running_response_is_charged_for_its_tokens_so_far_once(desk: Desk) -> None:
    claimed = desk.running()

    for tokens in (40, 40, 70):
        desk.store.flows.charge(DEFAULT_PROJECT, [with_usage(claimed, tokens)])

    assert service(desk) == [(70, 70)]
    desk.finish(claimed, usage=usage_of(input_tokens=100))
    assert service(desk) == [(100, 100)]


def test_a_stale_attempt_charges_nothing(desk: Desk) -> None:
    stale = desk.running()
    desk.store.claims.hand_back([stale])
    desk.claim()

    desk.store.flows.charge(DEFAULT_PROJECT, [with_usage(stale, 40)])
    desk.store.claims.hand_back([with_usage(stale, 40)])
    desk.finish(stale, usage=usage_of(input_tokens=40))

    assert service(desk) == [(0, 0)]


def test_a_lost_worker_leaves_no_debt(desk: Desk) -> None:
    lossy, other = desk.add_project("lossy"), desk.add_project("other")
    queue(desk, 10, project_id=lossy)
    queue(desk, 10, project_id=other)
    run_off(desk, desk.hire(), 2)
    lost = desk.hire()
    for _ in range(6):
        desk.claim(lost)
    desk.lapse_leases()
    assert len(desk.store.reaper.reclaim()) == 6

    worker = desk.hire()

    assert by_project(run_off(desk, worker, 10)) == pytest.approx({lossy: 5, other: 5}, abs=1)


def test_several_workers_claim_at_once_each_response_once_and_in_turns(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        queue(desk, 80, project_id=desk.add_project(name))
    workers = [desk.hire() for _ in range(4)]

    def run_some(worker: WorkerIdentity) -> list[ResponseRecord]:
        return run_off(desk, worker, 30)

    with ThreadPoolExecutor(4) as threads:
        done = [response for mine in threads.map(run_some, workers) for response in mine]

    assert len({response.id for response in done}) == 120
    # Of those that claim at once, none sees what the others take.
    assert by_project(done) == pytest.approx({"a": 40, "b": 40, "c": 40}, abs=6)


def test_charges_of_several_responses_at_once_end(desk: Desk) -> None:
    names = [desk.add_project(f"p{number}") for number in range(8)]
    for name in names:
        queue(desk, 8, project_id=name, end_user=1)
        queue(desk, 8, project_id=name, end_user=2)
    workers = [desk.hire() for _ in range(4)]

    def work(worker: WorkerIdentity) -> None:
        for _ in range(4):
            held = [desk.claim(worker) for _ in range(6)]
            for project_id in {claimed.project_id for claimed in held}:
                mine = [
                    with_usage(each, 10) for each in held[::-1] if each.project_id == project_id
                ]
                desk.store.flows.charge(project_id, mine)
            desk.store.flows.refresh()
            desk.store.claims.hand_back([with_usage(claimed, 15) for claimed in held[:3]])
            for claimed in held[3:]:
                assert desk.finish(claimed, usage=usage_of(input_tokens=20))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, workers))

    [[charged]] = desk.sql("SELECT sum(charged) FROM responses WHERE status = 'queued'")
    assert charged % 15 == 0


def test_a_weight_is_positive(desk: Desk) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="projects_weight_is_positive"):
        desk.add_project("none", weight=0)


def with_usage(claimed: ResponseRecord, tokens: int) -> ResponseRecord:
    """Return a claimed response that has used so many tokens."""
    return replace(claimed, usage=usage_of(input_tokens=tokens))
