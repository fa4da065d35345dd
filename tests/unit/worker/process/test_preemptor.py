"""Whose running response is put off for one that waits, and when; the store is a fake."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from models.responses.record import ResponseRecord
from models.store.fairness.flows import Waiting
from tests.factories import stored_response
from worker.process.preemptor import MAX_RUNS, Preemptor
from worker.process.timings import WorkerTimings

_TIMINGS = WorkerTimings(preempt_after_s=1.0, preempt_run_s=2.0)
_WAITING = Waiting(
    project_id="quiet",
    end_user=None,
    project_ids=frozenset({"greedy"}),
    end_users=frozenset(),
)


@dataclass
class Running:
    """Full worker: its generations, the youngest last, and those that were released."""

    generations: list[Any]
    released: list[ResponseRecord] = field(default_factory=list)
    is_closed = False

    @property
    def num_claims(self) -> int:
        return len(self.generations)

    def preemptible(self) -> list[Any]:
        return list(self.generations)

    def records(self) -> list[ResponseRecord]:
        return [each.record for each in self.generations]

    def release(self, generation: Any) -> bool:
        self.released.append(generation.record)
        return True


def generation(*, run_s: float, attempt: int = 1, **changes: Any) -> Any:
    record = replace(stored_response(project_id="greedy"), attempt=attempt, **changes)
    return SimpleNamespace(
        record=record,
        run_s=run_s,
        recorder=SimpleNamespace(is_logged=True),
        wait=lambda: None,
        handed_back_record=lambda: record,
    )


class Clock:
    """Clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("worker.process.preemptor.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def preemptor_of(running: Any) -> Preemptor:
    """Return the preemptor of a full worker; another project always waits."""
    store: Any = SimpleNamespace(
        flows=SimpleNamespace(find_waiting=lambda _: _WAITING),
        claims=SimpleNamespace(hand_back=lambda _: None, urgent_projects=lambda *_: set()),
    )
    return Preemptor(store, running, model="m", max_sequences=running.num_claims, timings=_TIMINGS)


def released_after(clock: Clock, *generations: Any) -> list[ResponseRecord]:
    """Return what is put off once another project has waited for long enough."""
    running = Running(list(generations))
    preemptor = preemptor_of(running)
    preemptor.check()
    assert running.released == []
    clock.now += _TIMINGS.preempt_after_s
    preemptor.check()
    return running.released


def test_of_those_that_were_claimed_least_often_the_youngest_is_put_off(clock: Clock) -> None:
    again = generation(run_s=50, attempt=2)
    older, younger = generation(run_s=40), generation(run_s=30)

    assert released_after(clock, older, younger, again) == [younger.record]


def test_a_response_runs_longer_each_time_before_it_is_put_off(clock: Clock) -> None:
    for attempt in (1, 2, 3, MAX_RUNS, MAX_RUNS + 1):
        needed_s = _TIMINGS.preempt_run_s * min(attempt, MAX_RUNS)
        early, late = (
            generation(run_s=needed_s + margin, attempt=attempt) for margin in (-0.1, 0.1)
        )
        assert released_after(clock, late, early) == [late.record]
        assert released_after(clock, early, early) == []


def test_flex_is_put_off_before_others(clock: Clock) -> None:
    flex = generation(run_s=50, attempt=2, priority=-2)

    assert released_after(clock, flex, generation(run_s=50)) == [flex.record]


def test_what_waits_after_another_waits_for_its_own_time(clock: Clock) -> None:
    running = Running([generation(run_s=50), generation(run_s=50)])
    preemptor = preemptor_of(running)
    preemptor.check()
    clock.now += _TIMINGS.preempt_after_s
    preemptor.check()
    assert len(running.released) == 1

    preemptor.check()
    clock.now += _TIMINGS.preempt_after_s - 0.1
    preemptor.check()
    assert len(running.released) == 1

    clock.now += 0.1
    preemptor.check()
    assert len(running.released) == 2
