"""Properties of the fair order over random weights, lengths and arrivals, with a fake executor."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from models.responses.record import ResponseRecord
from tests.integration.desk import Desk
from tests.integration.store.fake_executor import FakeExecutor

SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 20)))
WEIGHTS = (0.5, 1, 2, 4)
NUM_PLACES = 6
NUM_USERS = 2
SHORTEST, LONGEST = 20, 40
"""Tokens of a response."""


class Tenants:
    """Projects with random weights, whose responses have random lengths."""

    def __init__(self, desk: Desk, seed: int, *, are_limited: bool = False) -> None:
        self.dice = random.Random(seed)
        self._desk = desk
        self.weights: dict[str, float] = {}
        self.limits: dict[str, int] = {}
        self._longest: dict[str, int] = {}
        for number in range(self.dice.randint(2, 4)):
            limit = self.dice.randint(1, 4) if are_limited else None
            self.add(f"project {number}", self.dice.choice(WEIGHTS), limit)

    def add(self, name: str, weight: float, limit: int | None = None) -> None:
        """Add a project, whose responses are longer or shorter than those of others."""
        self._desk.add_project(name, weight=weight, max_running=limit)
        self.weights[name] = weight
        self._longest[name] = self.dice.randint(SHORTEST, LONGEST)
        if limit is not None:
            self.limits[name] = limit

    def queue(self, project_id: str, num: int) -> None:
        """Queue responses of random end users."""
        for _ in range(num):
            end_user = self.dice.randint(1, NUM_USERS)
            self._desk.create(project_id=project_id, end_user=end_user)

    def executor(self, num_workers: int) -> FakeExecutor:
        """Return an executor of these responses."""
        return FakeExecutor(
            self._desk, self._num_tokens_of, num_places=NUM_PLACES, num_workers=num_workers
        )

    def _num_tokens_of(self, record: ResponseRecord) -> int:
        return self.dice.randint(SHORTEST, self._longest[record.project_id])


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_tokens_converge_to_those_of_the_weights(
    desk: Desk, seed: int, num_workers: int
) -> None:
    tenants, num_ends = Tenants(desk, seed), 200
    executor = tenants.executor(num_workers)
    total_weight = sum(tenants.weights.values())
    for name, weight in tenants.weights.items():
        # More than it will get, even if its responses are the shortest and all others the longest.
        tenants.queue(name, round(num_ends * weight / total_weight * LONGEST / SHORTEST) + 20)

    for _ in range(num_ends):
        assert executor.step()

    total = executor.tokens.total()
    for name, weight in tenants.weights.items():
        expected = total * weight / total_weight
        # Each may be off by as much as runs at a time.
        assert executor.tokens[name] == pytest.approx(expected, abs=NUM_PLACES * LONGEST)


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_ends_and_no_limit_is_exceeded_whenever_responses_arrive(
    desk: Desk, seed: int, num_workers: int
) -> None:
    tenants = Tenants(desk, seed, are_limited=True)
    executor, dice = tenants.executor(num_workers), tenants.dice
    num_queued = 0
    while num_queued < 120:
        num_arriving = dice.choice((0, 0, 0, 1, 2, 30))
        tenants.queue(dice.choice(list(tenants.weights)), num_arriving)
        num_queued += num_arriving
        executor.step()
    while executor.step():
        pass

    assert executor.num_ended == len({record.id for record in executor.claims}) == num_queued
    for name, limit in tenants.limits.items():
        assert executor.most_running[name] <= limit


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_has_responses_queued_is_served_again_soon(desk: Desk, seed: int) -> None:
    tenants = Tenants(desk, seed)
    executor = tenants.executor(num_workers=1)
    for name in tenants.weights:
        tenants.queue(name, 130)
    for _ in range(40):
        executor.step()
    num_before = len(executor.claims)
    tenants.add("late", weight=1)
    tenants.queue("late", 40)
    for _ in range(80):
        executor.step()

    served = [record.project_id for record in executor.claims]
    assert "late" in served[num_before : num_before + 2]
    total_weight = sum(tenants.weights.values())
    for name, weight in tenants.weights.items():
        # Others get the tokens that their weights entitle them to for its longest response, what
        # they run, and each one response more (theorem 4 of the paper on the fair order).
        num_more = NUM_PLACES + len(tenants.weights)
        bound = (LONGEST / weight * total_weight + num_more * LONGEST) / SHORTEST
        assert longest_gap(served, name) <= bound
        users = Counter(each.end_user for each in executor.claims if each.project_id == name)
        assert len(users) == NUM_USERS
        assert max(users.values()) <= LONGEST / SHORTEST * min(users.values()) + NUM_PLACES


def longest_gap(served: Sequence[str], name: str) -> int:
    """Return the largest number of claims from one of a project to its next."""
    positions = [number for number, project_id in enumerate(served) if project_id == name]
    return max(after - before for before, after in pairwise(positions))
