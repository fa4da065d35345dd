"""Shares of projects with different weights while all of them have responses queued."""

import random
import time

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure

WEIGHTS = (1, 2, 4)
PER_SECOND = 15
"""Responses to queue for each second and project: more than are worked off."""
_TOKENS = """
    SELECT project_id, sum(CAST(usage ->> 'total_tokens' AS int)) FROM responses
    WHERE finished_at > %s AND finished_at < %s GROUP BY project_id
"""


def measure_shares(tenants: Tenants, *, seconds: float) -> list[Measure]:
    """Measure the tokens of each project in so many seconds, against its weight.

    The lengths of responses are random, and differ between the projects.
    """
    dice = random.Random(16)
    names = [tenants.add_project(f"weight {weight}", weight=weight) for weight in WEIGHTS]
    for number, name in enumerate(names):
        for _ in range(round(PER_SECOND * seconds)):
            tenants.queue(name, num_tokens=dice.randint(10, 40 + 20 * number))
    tenants.fill()
    time.sleep(10)  # until the flows know how long responses are
    [[began]] = tenants.sql("SELECT now()")
    time.sleep(seconds)
    [[ended]] = tenants.sql("SELECT now()")
    tokens = dict(tenants.sql(_TOKENS, began, ended))
    left = dict(
        tenants.sql(
            "SELECT project_id, count(*) FROM responses WHERE status = 'queued' GROUP BY project_id"
        )
    )
    tenants.clear()
    total = sum(tokens.values())
    shares = [
        tokens[name] / total * sum(WEIGHTS) / weight
        for name, weight in zip(names, WEIGHTS, strict=True)
    ]
    return [
        Measure(name="tokens/s of all projects", rounds=[total / seconds]),
        *(
            Measure(
                name=f"share of tokens of weight {weight} over {weight}/{sum(WEIGHTS)}",
                rounds=[share],
            )
            for weight, share in zip(WEIGHTS, shares, strict=True)
        ),
        Measure(
            name="largest difference from the share by weight, %",
            rounds=[max(abs(share - 1) for share in shares) * 100],
            goal=Goal(at_most=5),
        ),
        Measure(
            name="responses queued at the end, of the project with fewest",
            rounds=[min(left.get(name, 0) for name in names)],
            goal=Goal(at_least=1),
        ),
    ]
