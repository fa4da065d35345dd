"""Time to the first token of one tenant, or end user, beside another that floods the queue."""

from collections.abc import Callable

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure, percentile

NUM_FLOOD = 10_000
NUM_USER_FLOOD = 500


def measure_floods(
    tenants: Tenants, *, name: str, num_tokens: int, num_requests: int
) -> list[Measure]:
    """Measure requests one after the other: on an idle server, beside a project, beside a user.

    The responses of the flood have `num_tokens` tokens each.
    """
    quiet = tenants.add_project(f"quiet {name}")
    flood = tenants.add_project(f"flood {name}")
    idle = _first_tokens(lambda: tenants.first_token_s(quiet), num_requests)

    for _ in range(NUM_FLOOD):
        tenants.queue(flood, num_tokens=num_tokens)
    beside = _first_tokens(lambda: tenants.first_token_s(quiet), num_requests, tenants)

    shared = tenants.add_project(f"shared {name}")
    for _ in range(NUM_USER_FLOOD):
        tenants.queue(shared, num_tokens=num_tokens, end_user=1)
    beside_user = _first_tokens(
        lambda: tenants.first_token_s(shared, end_user=2), num_requests, tenants
    )
    limit = Goal(at_most=2 * percentile(idle, 95) + 2)
    return [
        _measure(f"{name}, idle server: first token p95, s", idle),
        _measure(f"{name}, {NUM_FLOOD} of another project queued: p95, s", beside, limit),
        _measure(
            f"{name}, {NUM_USER_FLOOD} of another end user queued: p95, s", beside_user, limit
        ),
    ]


def _measure(name: str, seconds: list[float], goal: Goal | None = None) -> Measure:
    return Measure(name=name, rounds=[percentile(seconds, 95)], goal=goal)


def _first_tokens(
    measure: Callable[[], float], num_requests: int, tenants: Tenants | None = None
) -> list[float]:
    """Return the seconds of each request; of a flood, end what is left of it after."""
    if tenants is not None:
        tenants.fill()
    seconds = [measure() for _ in range(num_requests)]
    if tenants is not None:
        tenants.clear()
    return seconds
