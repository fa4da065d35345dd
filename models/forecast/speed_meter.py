"""Measurement of what the workers of a model do, from states of its flows one after the other."""

from dataclasses import dataclass, field, replace
from math import exp

from cachetools import LRUCache

from models.forecast.flow_state import FlowKey, FlowState, ModelState

SPEED_WINDOW_S = 600.0
"""Seconds of work after which what was measured before counts for a third (1/e)."""
DEMAND_WINDOW_S = 900.0
"""The same of time, for what projects ask for."""
NUM_EARLY = 16
"""Responses of a flow that do not count for its mean, if that is known: the shortest end first."""
NUM_AVERAGED = 32
"""Estimates of a flow over which its mean is a moving average."""
MAX_KNOWN = 1000
"""Flows that are remembered, also when they have nothing queued."""
LEAST_WATCHED_S = 60.0
"""Seconds over which the first demand is taken to have come."""
_NEGLIGIBLE = 1e-3
"""Tokens per second of a project that are not worth a place in a forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the workers of a model can do, and what is asked of them, in tokens as charged."""

    tokens_per_place_s: float | None
    """Tokens in each second for each running response; None if none has been measured."""
    num_places: float
    """Responses that run at a time when there is enough to do."""
    demand: dict[FlowKey, float] = field(default_factory=dict)
    """Tokens that arrive in each second, by flow."""
    known: dict[FlowKey, FlowState] = field(default_factory=dict)
    """Flows as they were last seen, with a mean of their estimates."""

    def estimate(self, flow: FlowState, default: float) -> float:
        """Return the tokens that a response of a flow is expected to take, over its weight."""
        known = self.known.get(flow.key)
        return (known.estimate if known else flow.estimate) or default

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens in each second when all places are taken; None if that is not known."""
        if self.tokens_per_place_s is None or self.num_places <= 0:
            return None
        return self.tokens_per_place_s * self.num_places


class SpeedMeter:
    """Meter of one model: weighted means, over work that was done and time that has passed."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._flows: dict[FlowKey, FlowState] = {}
        self._num_running = self._num_workers = 0
        self._had_queue = False
        self._tokens = self._place_s = self._places = self._watched_s = 0.0
        self._arrived: dict[FlowKey, float] = {}
        self._known: LRUCache[FlowKey, FlowState] = LRUCache(MAX_KNOWN)
        self._num_changes: LRUCache[FlowKey, int] = LRUCache(MAX_KNOWN)

    def observe(self, at: float, state: ModelState) -> None:
        """Take the state of all flows at a time, in seconds, later than that of the last call."""
        if self._at is not None and at > self._at:
            self._measure(at - self._at, state)
        self._count_places(state)
        for flow in state.flows:
            self._remember(flow)
        self._at = at
        self._flows = {flow.key: flow for flow in state.flows}
        self._num_running, self._num_workers = state.num_running, state.num_workers

    def speed(self) -> Speed:
        """Return what has been measured so far."""
        is_known = self._tokens > 0 and self._place_s > 0
        watched_s = max(self._watched_s, LEAST_WATCHED_S)
        demand = {key: tokens / watched_s for key, tokens in self._arrived.items()}
        return Speed(
            tokens_per_place_s=self._tokens / self._place_s if is_known else None,
            num_places=self._places,
            demand={key: rate for key, rate in demand.items() if rate > _NEGLIGIBLE},
            known=dict(self._known),
        )

    def _measure(self, seconds: float, state: ModelState) -> None:
        place_s = (self._num_running + state.num_running) / 2 * seconds
        if place_s > 0:
            kept = exp(-seconds / SPEED_WINDOW_S)
            served = sum(self._served(flow) for flow in state.flows)
            self._tokens = self._tokens * kept + served
            self._place_s = self._place_s * kept + place_s
        kept = exp(-seconds / DEMAND_WINDOW_S)
        self._watched_s = self._watched_s * kept + seconds
        mean = state.mean_estimate
        arrived = {key: tokens * kept for key, tokens in self._arrived.items()}
        for flow in state.flows:
            arrived[flow.key] = arrived.get(flow.key, 0.0) + self._arrived_of(flow, mean)
        self._arrived = {key: tokens for key, tokens in arrived.items() if abs(tokens) > 1}

    def _remember(self, flow: FlowState) -> None:
        """Average the estimates of a flow, each of which follows its latest few responses alone.

        Those of its first responses are of the shortest ones, which end first.
        """
        before, known = self._flows.get(flow.key), self._known.get(flow.key)
        if flow.estimate <= 0:
            return
        is_early = flow.service < NUM_EARLY * flow.estimate
        is_same = before is not None and before.estimate == flow.estimate
        if known is None or is_early or is_same:
            estimate = known.estimate if known else flow.estimate
        else:
            num = self._num_changes[flow.key] = self._num_changes.get(flow.key, 1) + 1
            estimate = known.estimate + (flow.estimate - known.estimate) / min(num, NUM_AVERAGED)
        self._known[flow.key] = replace(flow, estimate=estimate)

    def _served(self, flow: FlowState) -> float:
        """Return the tokens that a flow was charged for since the last state."""
        before = self._flows.get(flow.key)
        is_same = before is not None and before.service <= flow.service
        service = flow.service - before.service if before and is_same else flow.service
        return service * flow.weight

    def _arrived_of(self, flow: FlowState, mean: float) -> float:
        """Return the tokens that were asked for since: those served, and those still to serve."""
        before = self._flows.get(flow.key)
        num_before = before.num_queued + before.num_running if before else 0
        num_more = flow.num_queued + flow.num_running - num_before
        return self._served(flow) + num_more * (flow.estimate or mean) * flow.weight

    def _count_places(self, state: ModelState) -> None:
        """Follow the number of places: what runs while others wait, or the most that has run."""
        if self._num_workers and state.num_workers:
            self._places *= state.num_workers / self._num_workers
        has_queue = any(flow.num_queued and flow.max_running is None for flow in state.flows)
        if has_queue and self._had_queue:
            self._places += (state.num_running - self._places) / 2
        self._places = max(self._places, float(state.num_running))
        self._had_queue = has_queue
