"""Progress of a queue over virtual time: what is claimed until then, and how long that takes.

A fluid model of start-time fair queueing: between its first and its last response, a flow is served
evenly. What arrives meanwhile for flows that have nothing queued is served first, as far as their
weights allow.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

MAX_POINTS = 240
"""Points of a curve; between them it is taken for straight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Queued responses of one flow on the scale of virtual time: one at the start, one per step."""

    start: float
    step: float
    num: int
    tokens: float
    """Tokens of one response."""
    weight: float
    demand: float
    """Tokens that arrive in each second."""
    most: float = inf
    """Tokens in each second that it can take at most."""

    @property
    def end(self) -> float:
        """Virtual time at which the last one counts as claimed."""
        return self.start + max(self.num - 0.5, 0.5) * self.step


@dataclass(frozen=True, slots=True)
class Curve:
    """Numbers of claims, and seconds, by virtual time, each in ascending order."""

    virtual: list[float]
    claims: list[float]
    seconds: list[float]

    def at(self, virtual: float) -> tuple[float, float]:
        """Return the claims before a virtual time, and the seconds until then."""
        if not self.virtual:
            return 0.0, 0.0
        after = bisect_left(self.virtual, virtual)
        if after in (0, len(self.virtual)):
            nearest = min(after, len(self.virtual) - 1)
            return self.claims[nearest], self.seconds[nearest]
        width = self.virtual[after] - self.virtual[after - 1]
        part = (virtual - self.virtual[after - 1]) / width if width > 0 else 1.0
        return (
            self.claims[after - 1] + part * (self.claims[after] - self.claims[after - 1]),
            self.seconds[after - 1] + part * (self.seconds[after] - self.seconds[after - 1]),
        )

    def after(self, claims: float, seconds: float) -> "Curve":
        """Return the curve of what begins after so many claims and seconds."""
        if not self.virtual:
            return Curve([0.0], [claims], [seconds])
        return Curve(
            self.virtual,
            [claims + value for value in self.claims],
            [seconds + value for value in self.seconds],
        )

    @property
    def total(self) -> tuple[float, float]:
        """All claims, and the seconds until the last of them."""
        return self.at(inf)


class _Sweep:
    """State of the queue at one virtual time."""

    def __init__(self, tokens_per_s: float, idle: Iterable[Backlog]) -> None:
        self._tokens_per_s = tokens_per_s
        self.virtual = float("-inf")
        self.claims = self.seconds = 0.0
        self._claims_slope = self._tokens_slope = 0.0
        self._weight = self._idle_weight = self._demand = self._most = 0.0
        self._num_unlimited = 0
        for flow in idle:
            self.become_idle(flow)

    def become_idle(self, flow: Backlog) -> None:
        if flow.demand > 0:
            self._demand += flow.demand
            self._idle_weight += flow.weight

    def advance(self, virtual: float) -> None:
        if self.virtual < virtual and self._claims_slope > 0:
            width = virtual - self.virtual
            self.claims += self._claims_slope * width
            self.seconds += self._tokens_slope * width / self._rate
        self.virtual = virtual

    def start(self, flow: Backlog) -> None:
        self._weight += flow.weight
        self._limit(flow, 1)
        self.claims += 1
        self.seconds += flow.tokens / self._rate

    def flow(self, flow: Backlog, sign: int) -> None:
        self._claims_slope = max(self._claims_slope + sign / flow.step, 0.0)
        self._tokens_slope = max(self._tokens_slope + sign * flow.tokens / flow.step, 0.0)

    def end(self, flow: Backlog) -> None:
        if flow.num > 1:
            self.flow(flow, -1)
        self._weight = max(self._weight - flow.weight, 0.0)
        self._limit(flow, -1)
        self.become_idle(flow)

    def _limit(self, flow: Backlog, sign: int) -> None:
        if flow.most == inf:
            self._num_unlimited += sign
        else:
            self._most += sign * flow.most

    @property
    def _rate(self) -> float:
        """Tokens per second for what is queued: not less than its weights are entitled to."""
        share = self._weight / (self._weight + self._idle_weight) if self._weight else 0.0
        rate = max(self._tokens_per_s - self._demand, self._tokens_per_s * max(share, 0.05))
        return rate if self._num_unlimited or self._most <= 0 else min(rate, self._most)


def sweep(flows: Iterable[Backlog], tokens_per_s: float) -> Curve:
    """Return the curve of a queue that is served at a rate."""
    found = list(flows)
    queued = [flow for flow in found if flow.num > 0]
    at = _Sweep(tokens_per_s, (flow for flow in found if not flow.num))
    events = [(flow.start, 0, number) for number, flow in enumerate(queued)]
    events += [(f.start + f.step / 2, 1, number) for number, f in enumerate(queued) if f.num > 1]
    events += [(flow.end, 2, number) for number, flow in enumerate(queued)]
    points = [(min((flow.start for flow in queued), default=0.0), 0.0, 0.0)] if queued else []
    for virtual, kind, number in sorted(events):
        at.advance(virtual)
        if kind == 0:
            points.append((virtual, at.claims, at.seconds))
            at.start(queued[number])
        elif kind == 1:
            at.flow(queued[number], 1)
        else:
            at.end(queued[number])
        points.append((virtual, at.claims, at.seconds))
    every = max(1, -(-len(points) // MAX_POINTS))
    kept = points[:-1:every] + points[-1:]
    return Curve(*([point[axis] for point in kept] for axis in range(3)))
