"""Random plan of the clients' requests, from a seed: chains of responses, each a `Job`."""

import random
from dataclasses import dataclass, replace

POISON = "antiphon-test-poison"
"""Marker in the input that kills the worker, in the test build only (see `build`)."""

KEYED = 0.05
"""Share of jobs that are sent twice with one Idempotency-Key, 0 to 1."""

SCRIPT_TOKENS = 100
"""Tokens after which the scripted engine stops by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Response that a client requests, and the client's actions on it."""

    number: int
    max_tokens: int
    background: bool = True
    stream: bool = False
    store: bool = True
    follows: bool = False
    """True if it continues the previous one in its chain, provided that can be continued."""
    drops: tuple[int, ...] = ()
    """Numbers of events after which the client drops each connection, and reconnects."""
    cancel_after_s: float | None = None
    delete_after_s: float | None = None
    """Seconds after the answer with the id; the same holds for `cancel_after_s`."""
    is_poison: bool = False
    posts_twice: bool = False
    """True if the same request is sent again with the same Idempotency-Key."""

    @property
    def user(self) -> str:
        """End user of whom it is: one of two, who take turns."""
        return f"user {self.number % 2}"

    @property
    def text(self) -> str:
        """Input of the request, which contains the job's number."""
        return f"{POISON} {self.number}" if self.is_poison else f"job {self.number}"


Chain = tuple[Job, ...]
"""Jobs that one client runs one after the other."""


def draw_plan(seed: int, num_jobs: int) -> list[Chain]:
    """Return chains with `num_jobs` jobs in total, determined by `seed`."""
    dice = random.Random(f"plan {seed}")
    chains: list[Chain] = []
    number = 0
    while number < num_jobs:
        length = min(dice.choice((1, 1, 1, 1, 1, 1, 2, 2, 3, 4)), num_jobs - number)
        jobs = [_draw_job(dice, number + turn, turn) for turn in range(length)]
        chains.append(tuple(jobs))
        number += length
    return chains


def _draw_job(dice: random.Random, number: int, turn: int) -> Job:
    job = Job(
        number=number,
        max_tokens=dice.choice((dice.randint(1, 20), dice.randint(20, 90), SCRIPT_TOKENS)),
        follows=turn > 0,
        stream=dice.random() < 0.3,
        background=dice.random() < 0.85,
        posts_twice=dice.random() < KEYED,
    )
    if job.stream and dice.random() < 0.5:
        drops = tuple(dice.randint(1, 40) for _ in range(dice.randint(1, 3)))
        job = replace(job, drops=drops)
    if not job.background and dice.random() < 0.4:
        return replace(job, store=False, drops=())
    kind = dice.random()
    if kind < 0.12 and job.background:
        return replace(job, cancel_after_s=dice.choice((0.0, dice.uniform(0, 3))))
    if kind < 0.17:
        return replace(job, delete_after_s=dice.uniform(0, 4))
    if kind < 0.174 and job.background:
        # Long enough for the poison to work.
        return replace(job, is_poison=True, follows=False, max_tokens=SCRIPT_TOKENS)
    return job
