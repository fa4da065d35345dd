"""Plans and schedules are reproducible from their seed."""

from itertools import islice

from tests.chaos.plan import draw_plan
from tests.chaos.schedule import FAULTS, Step, draw_schedule

NUM_STEPS = 400


def schedule(seed: int) -> list[Step]:
    return list(islice(draw_schedule(seed, num_workers=4, every_s=(5, 15)), NUM_STEPS))


def test_a_seed_draws_the_same_plan_and_no_other_does() -> None:
    assert draw_plan(7, 300) == draw_plan(7, 300) != draw_plan(8, 300)


def test_a_plan_has_as_many_jobs_as_were_asked_for_and_every_kind_of_them() -> None:
    jobs = [job for chain in draw_plan(7, 2000) for job in chain]

    assert [job.number for job in jobs] == list(range(2000))
    assert 0.25 < sum(job.stream for job in jobs) / len(jobs) < 0.35
    assert 0.07 < sum(job.cancel_after_s is not None for job in jobs) / len(jobs) < 0.13
    for kind in ("drops", "follows", "delete_after_s", "is_poison"):
        assert any(getattr(job, kind) for job in jobs), kind
    assert not all(job.store and job.background for job in jobs)


def test_a_seed_draws_the_same_schedule_and_no_other_does() -> None:
    assert schedule(7) == schedule(7) != schedule(8)


def test_steps_come_in_order_and_strike_every_part() -> None:
    steps = schedule(7)

    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    targets = {step.target for step in steps if step.act == "signal"}
    workers = {f"worker-{number}" for number in range(1, 5)}
    parts = {"supervisor", "api", "api-child", "maintenance", "valkey", "postgres"}
    assert targets == workers | parts
    assert len({str(step)[12:] for step in steps}) > len(FAULTS)
