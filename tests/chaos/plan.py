"""What the clients will ask for, drawn from a seed: chains of responses, each a `Job`."""

import random
from dataclasses import dataclass, replace

POISON = "antiphon-test-poison"
"""Input that holds this kills its worker, in the test build only (see `build`)."""

KEYED = 0.05
"""Share of jobs that are sent twice under one key."""

SCRIPT_TOKENS = 100
"""Tokens after which the scripted engine ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One response that a client asks for, and what the client does with it."""

    number: int
    max_tokens: int
    background: bool = True
    stream: bool = False
    store: bool = True
    follows: bool = False
    """Continues the one before it in its chain, if that can be continued."""
    drops: tuple[int, ...] = ()
    """After so many events of a connection the client drops it and comes back."""
    cancel_after_s: float | None = None
    delete_after_s: float | None = None
    """Seconds after the answer with the id."""
    is_poison: bool = False
    posts_twice: bool = False
    """Sends the same request, with the same Idempotency-Key, again."""

    @property
    def text(self) -> str:
        """The input: as long as its number makes it, so that prompts can be told apart."""
        return f"{POISON} {self.number}" if self.is_poison else f"job {self.number}"


Chain = tuple[Job, ...]
"""Jobs that one client does one after the other."""


def draw_plan(seed: int, num_jobs: int) -> list[Chain]:
    """Chains with `num_jobs` jobs in all; the same for the same seed."""
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
