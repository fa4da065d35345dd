"""A day of load of several projects: interactive ones that follow the hour, batches, and bursts."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DAY_S = 86_400.0
TOKENS_PER_S = 20.0
"""Tokens that one running response generates in a second."""
NUM_PLACES = 8
"""Responses that run at a time."""
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """Response that a project asks for."""

    at: float
    """Seconds since the beginning of the day."""
    project_id: str
    num_tokens: int
    end_user: int
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Project and the load that it makes."""

    project_id: str
    weight: float
    seconds: float
    """Mean duration of its responses; they are distributed log-normally."""
    sigma: float
    num_users: int
    times: Callable[[random.Random], Iterator[float]]
    max_running: int | None = None
    priority: int = 0


def _daily(per_s: float, peak_h: float) -> Callable[[random.Random], Iterator[float]]:
    """Return arrivals at random with a rate that rises to nearly twice its mean once a day."""

    def times(dice: random.Random) -> Iterator[float]:
        at = 0.0
        while (at := at + dice.expovariate(2 * per_s)) < DAY_S:
            angle = 2 * math.pi * (at / DAY_S - peak_h / 24)
            if dice.random() < (1 + 0.9 * math.cos(angle)) / 2:
                yield at

    return times


def _batches(
    every_h: float, first_h: float, num: int
) -> Callable[[random.Random], Iterator[float]]:
    """Return batches of so many responses, each within some seconds."""

    def times(dice: random.Random) -> Iterator[float]:
        at = first_h * _HOUR_S
        while at < DAY_S:
            yield from sorted(at + dice.uniform(0, 20) for _ in range(num))
            at += every_h * _HOUR_S

    return times


def _bursts(num_bursts: int, least: int, most: int) -> Callable[[random.Random], Iterator[float]]:
    """Return bursts of different sizes at random times."""

    def times(dice: random.Random) -> Iterator[float]:
        for at in sorted(dice.uniform(0, DAY_S) for _ in range(num_bursts)):
            for _ in range(dice.randint(least, most)):
                yield at

    return times


PROFILES = (
    Profile(project_id="web", weight=4, seconds=10, sigma=0.7, num_users=20, times=_daily(0.1, 14)),
    Profile(
        project_id="app", weight=2, seconds=20, sigma=0.7, num_users=10, times=_daily(0.08, 19)
    ),
    Profile(
        project_id="batch", weight=1, seconds=60, sigma=0.5, num_users=1, times=_batches(3, 1, 250)
    ),
    Profile(
        project_id="reports",
        weight=1,
        seconds=30,
        sigma=0.5,
        num_users=1,
        times=_batches(1, 0.5, 40),
        max_running=2,
    ),
    Profile(
        project_id="research",
        weight=2,
        seconds=80,
        sigma=1.0,
        num_users=3,
        times=_bursts(6, 60, 120),
    ),
    Profile(
        project_id="night",
        weight=1,
        seconds=40,
        sigma=0.5,
        num_users=1,
        times=_batches(24, 22, 800),
        priority=-2,
    ),
)
"""Together they take two thirds of the places, and nine tenths of them in the afternoon."""


def arrivals(seed: int) -> list[Arrival]:
    """Return all responses of a day, in the order in which they arrive."""
    found = []
    for number, profile in enumerate(PROFILES):
        dice = random.Random(f"{seed} {number}")
        mean = math.log(profile.seconds * TOKENS_PER_S) - profile.sigma**2 / 2
        found += [
            Arrival(
                at,
                profile.project_id,
                max(1, round(dice.lognormvariate(mean, profile.sigma))),
                dice.randint(1, profile.num_users),
                profile.priority,
            )
            for at in profile.times(dice)
        ]
    return sorted(found)
