"""Headers that tell clients what is left of their project's limits, named and written as OpenAI's.

`tokens` is whichever of input and output tokens has the smaller share left.
"""

from collections.abc import Mapping

from models.access.projects import ProjectLimits
from models.limits.amounts import Usage, rates_of


def rate_headers(limits: ProjectLimits, usage: Mapping[str, Usage]) -> dict[str, str]:
    """Return the headers of the limits per minute; none for those that are not set."""
    headers: dict[str, str] = {}
    scarcest: tuple[float, str] | None = None
    for name, limit in rates_of(limits).items():
        if limit is None:
            continue
        state = usage.get(name, Usage())
        remaining = max(limit - state.used, 0)
        kind = name.replace("_", "-")
        headers |= _headers(kind, limit, remaining, state.reset_ms)
        if name != "requests" and (scarcest is None or remaining / limit < scarcest[0]):
            scarcest = remaining / limit, name
            headers |= _headers("tokens", limit, remaining, state.reset_ms)
    return headers


def format_duration(ms: int) -> str:
    """Return a duration as OpenAI writes it: `120ms`, `1s`, `1.5s`, `6m0s`."""
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{seconds}" if minutes else seconds


def _headers(kind: str, limit: int, remaining: int, reset_ms: int) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": format_duration(reset_ms),
    }
