"""Time to the first token of one tenant, or end user, beside another that floods the queue."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure, percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of a measurement of floods."""

    rounds: int
    num_requests: int
    """Requests in a round, one after the other."""
    num_flood: int
    """Responses that another project has queued."""
    num_user_flood: int
    """Responses that another end user of the same project has queued."""


def measure_floods(tenants: Tenants, sizes: Sizes, *, name: str, num_tokens: int) -> list[Measure]:
    """Measure requests on an idle server, beside a project's flood, and beside an end user's.

    The responses of the flood have `num_tokens` tokens each.
    """
    quiet = tenants.add_project(f"quiet {name}")
    flood = tenants.add_project(f"flood {name}")
    idle = _p95_of_rounds(sizes, lambda: tenants.first_token_s(quiet))

    tenants.queue_many(flood, [num_tokens] * sizes.num_flood)
    tenants.fill()
    beside = _p95_of_rounds(sizes, lambda: tenants.first_token_s(quiet))
    tenants.clear()

    shared = tenants.add_project(f"shared {name}")
    tenants.queue_many(shared, [num_tokens] * sizes.num_user_flood, end_user=1)
    tenants.fill()
    beside_user = _p95_of_rounds(sizes, lambda: tenants.first_token_s(shared, end_user=2))
    tenants.clear()

    limit = Goal(at_most=2 * min(idle) + 2)
    return [
        Measure(name=f"{name}, idle server: first token p95, s", rounds=idle),
        Measure(
            name=f"{name}, {sizes.num_flood} of another project queued: p95, s",
            rounds=beside,
            goal=limit,
        ),
        Measure(
            name=f"{name}, {sizes.num_user_flood} of another end user queued: p95, s",
            rounds=beside_user,
            goal=limit,
        ),
    ]


def _p95_of_rounds(sizes: Sizes, measure: Callable[[], float]) -> list[float]:
    return [
        percentile([measure() for _ in range(sizes.num_requests)], 95) for _ in range(sizes.rounds)
    ]
