"""Shares of projects with different weights while all of them have responses queued."""

import random
import time
from collections.abc import Sequence

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure
from bench.server import BenchError

WEIGHTS = (1, 2, 4)
SETTLE_S = 10.0
"""Seconds before the first round: until flows know how long responses are."""
PER_SECOND = 15
"""Responses to queue for each second and project: more than are worked off."""
_TOKENS = """
    SELECT project_id, sum(CAST(usage ->> 'total_tokens' AS int)) FROM responses
    WHERE finished_at > %s AND finished_at <= %s GROUP BY project_id
"""
_QUEUED = """
    SELECT project_id FROM responses WHERE status = 'queued' GROUP BY project_id
"""


def measure_shares(tenants: Tenants, *, seconds: float, rounds: int) -> list[Measure]:
    """Measure the tokens of each project in so many seconds, against its weight.

    The lengths of responses are random, and differ between the projects.
    """
    dice = random.Random(16)
    names = [tenants.add_project(f"weight {weight}", weight=weight) for weight in WEIGHTS]
    num_queued = round(PER_SECOND * (SETTLE_S + rounds * seconds))
    for number, name in enumerate(names):
        longest = 40 + 20 * number
        tenants.queue_many(name, [dice.randint(10, longest) for _ in range(num_queued)])
    tenants.fill()
    time.sleep(SETTLE_S)
    tokens = [_tokens_in(tenants, names, seconds) for _ in range(rounds)]
    queued = {name for (name,) in tenants.sql(_QUEUED)}
    tenants.clear()
    if not queued >= {*names}:
        raise BenchError("a project had nothing queued any more")
    shares = [_shares_by_weight(of_round) for of_round in tokens]
    return [
        Measure(
            name="tokens/s of all projects", rounds=[sum(of_round) / seconds for of_round in tokens]
        ),
        *(
            Measure(
                name=f"share of weight {weight}, of {weight}/{sum(WEIGHTS)} of all tokens",
                rounds=[of_round[number] for of_round in shares],
            )
            for number, weight in enumerate(WEIGHTS)
        ),
        Measure(
            name="largest difference from the share by weight, %",
            rounds=[max(abs(share - 1) for share in of_round) * 100 for of_round in shares],
            goal=Goal(at_most=5),
        ),
    ]


def _tokens_in(tenants: Tenants, names: Sequence[str], seconds: float) -> list[int]:
    [[began]] = tenants.sql("SELECT now()")
    time.sleep(seconds)
    [[ended]] = tenants.sql("SELECT now()")
    tokens = dict(tenants.sql(_TOKENS, began, ended))
    return [tokens.get(name, 0) for name in names]


def _shares_by_weight(tokens: Sequence[int]) -> list[float]:
    """Return the share of each project in all tokens, in shares that its weight gives it."""
    total = max(1, sum(tokens))
    return [
        of_project / total * sum(WEIGHTS) / weight
        for of_project, weight in zip(tokens, WEIGHTS, strict=True)
    ]
