"""Forecast for the queue of one model, and for one flow in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from uuid import UUID

from models.forecast.curve import Backlog, Curve, sweep
from models.forecast.flow_state import FlowKey, FlowState, ModelState
from models.forecast.own_queue import OwnQueue
from models.forecast.speed_meter import Speed
from models.forecast.turnover import seconds_until

_NUM_ROUNDS = 3
"""Approximations of what a project sends while one of its responses waits."""
_LEAST_PART = 0.05
"""Part of all that workers do that is left to `flex` at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """Where a response is in the queue."""

    position: int | None
    """1 for the next one; None before its time."""
    eta_seconds: float | None
    """Seconds until it is expected to start; None if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowShare:
    """What a forecast says about one flow; the only part of it that names a project."""

    start: float
    """Virtual time at which its next response is claimed."""
    step: float
    """Virtual time from one of its responses to the next."""
    num: int
    """Its queued responses that the curve counts."""
    response_s: float
    """Seconds in which one more of its responses is started, if nothing else is queued."""
    per_s: float
    """Responses of it that arrive in each second."""
    num_free: float | None = None
    """Places that its limit of running responses leaves it; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueForecast:
    """Forecast for the responses of a model of one tier: `flex`, or all others."""

    curve: Curve
    num_places: float
    num_free: float
    """Places that are free: as many are claimed at once."""
    running_s: float
    """Mean duration of what runs."""
    start: float
    """Virtual time of the next claim, at which flows start that had nothing queued."""
    step: float
    response_s: float
    """The mean `step` and `response_s` of the flows."""
    is_timed: bool
    """False if nothing was measured, or no worker lives: seconds then mean nothing."""

    def place(self, share: FlowShare | None, num_ahead: float) -> QueuePlace:
        """Return the place of a response that has others of its flow ahead."""
        own = share or FlowShare(
            start=self.start, step=self.step, num=0, response_s=self.response_s, per_s=0.0
        )
        claims, seconds = self.curve.at(own.start + num_ahead * own.step)
        # The curve counts what its flow had queued when it was made: by now that has changed.
        counted = min(own.num, num_ahead + 0.5) if num_ahead else 0.0
        claims += num_ahead - counted
        seconds += (num_ahead - counted) * own.response_s
        return QueuePlace(
            position=1 + max(round(claims), int(num_ahead)),
            eta_seconds=round(self._wait_s(claims, seconds, own), 1) if self.is_timed else None,
        )

    def _wait_s(self, claims: float, seconds: float, own: FlowShare) -> float:
        """Return the wait for so many claims, whose work takes so many seconds, and one more."""
        if own.num_free is not None:
            return max(0.0, seconds + (1 - min(own.num_free, self.num_free)) * own.response_s)
        each_s = seconds / claims if claims >= 1 else own.response_s
        work_s = seconds + (1 - self.num_free) * each_s
        return seconds_until(work_s, each_s * self.num_places, self.running_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Forecasts for both tiers of a model, and the shares of its flows."""

    normal: QueueForecast
    flex: QueueForecast
    shares: dict[FlowKey, FlowShare]

    def place(
        self, queue: OwnQueue, project_id: str, *, priority: int, end_user: int, response_id: UUID
    ) -> QueuePlace:
        """Return the place of a response in the queue of its project, and in that of the model."""
        is_flex = priority < 0
        share = self.shares.get((project_id, is_flex))
        tier = self.flex if is_flex else self.normal
        ahead = queue.num_ahead(priority, end_user, response_id)
        place = tier.place(share, ahead)
        for _ in range(_NUM_ROUNDS):
            if share is None or not place.eta_seconds or not share.per_s:
                break
            # End users of the project will have sent more by then, and take turns with this one.
            num_more = share.per_s * place.eta_seconds
            before = ahead
            ahead = queue.num_ahead(priority, end_user, response_id, num_more=num_more)
            if ahead == before:
                break
            place = tier.place(share, ahead)
        return place


def forecast(state: ModelState, speed: Speed) -> Forecast:
    """Return the forecast for a model, from its state and what its workers can do."""
    normal, shares, demand = _forecast_tier(state, speed, is_flex=False)
    # What is not `flex` comes first, now and later.
    flex, more, _ = _forecast_tier(state, speed, is_flex=True, after=normal, demand=demand)
    return Forecast(normal=normal, flex=flex, shares=shares | more)


def _forecast_tier(
    state: ModelState,
    speed: Speed,
    *,
    is_flex: bool,
    after: QueueForecast | None = None,
    demand: float = 0.0,
) -> tuple[QueueForecast, dict[FlowKey, FlowShare], float]:
    """Return the forecast of one tier, the shares of its flows, and what they keep sending.

    `after` is the forecast of the tier that comes first, and `demand` what that keeps sending.
    """
    rate = speed.tokens_per_s if state.num_workers else None
    total = rate or 1.0
    left = max(total - demand, _LEAST_PART * total)
    flows = [flow for flow in state.flows if flow.is_flex == is_flex]
    backlogs = _backlogs(flows, state, speed, left)
    queued = [each for each in backlogs if each.num]
    tokens = _mean([(each.tokens, each.num) for each in queued]) or state.mean_estimate
    queue = QueueForecast(
        curve=sweep(backlogs, left).after(*(after.curve.total if after else (0.0, 0.0))),
        num_places=speed.num_places,
        num_free=max(0.0, round(speed.num_places) - state.num_running),
        running_s=_running_s(state, speed),
        start=min((each.start for each in queued), default=0.0),
        step=_mean([(each.step, each.num) for each in queued]) or tokens,
        response_s=tokens / left,
        is_timed=rate is not None,
    )
    shares = {
        flow.key: FlowShare(
            start=each.start,
            step=each.step,
            num=each.num,
            response_s=each.tokens / min(left, each.most),
            per_s=each.demand / each.tokens,
            num_free=_free_of(flow) if each.most < left else None,
        )
        for flow, each in zip(flows, backlogs, strict=True)
        if each.num
    }
    for key, flow in speed.known.items():
        if key not in shares and flow.is_flex == is_flex:
            shares[key] = FlowShare(
                start=queue.start,
                step=flow.estimate,
                num=0,
                response_s=flow.estimate * flow.weight / left,
                per_s=0.0,
            )
    return queue, shares, sum(each.demand for each in backlogs)


def _backlogs(
    flows: Sequence[FlowState], state: ModelState, speed: Speed, tokens_per_s: float
) -> list[Backlog]:
    """Return what flows have queued, those that are at their limit as slow as that makes them."""
    weights = _effective_weights(flows, speed)
    mean = state.mean_estimate
    tags = {
        flow.key: flow.virtual_time + flow.num_running * (flow.estimate or mean) for flow in flows
    }
    free = [tags[flow.key] for flow in flows if flow.num_queued and not _is_full(flow)]
    now = min(free, default=min((tags[flow.key] for flow in flows if flow.num_queued), default=0.0))
    backlogs = []
    for flow in flows:
        tokens = speed.estimate(flow, mean) * flow.weight
        step = tokens / weights[flow.key]
        start = max(tags[flow.key], now)
        backlogs.append(
            Backlog(
                start=start,
                step=step,
                num=flow.num_queued,
                tokens=tokens,
                weight=weights[flow.key],
                demand=min(speed.demand.get(flow.key, 0.0), tokens_per_s),
                most=_most(flow, speed),
            )
        )
    return backlogs


def _is_full(flow: FlowState) -> bool:
    return flow.max_running is not None and flow.num_running >= flow.max_running


def _free_of(flow: FlowState) -> float:
    return max(0.0, (flow.max_running or 0) - flow.num_running)


def _most(flow: FlowState, speed: Speed) -> float:
    """Return the tokens per second that a flow can take at most."""
    if flow.max_running is None or speed.tokens_per_place_s is None:
        return inf
    return flow.max_running * speed.tokens_per_place_s


def _effective_weights(flows: Sequence[FlowState], speed: Speed) -> dict[FlowKey, float]:
    """Return the weights of flows, less for those that get fewer places than by their weight."""
    weights = {flow.key: flow.weight for flow in flows}
    queued = [flow for flow in flows if flow.num_queued]
    num_places, limited = speed.num_places, set[FlowKey]()
    while num_places > 0:
        total = sum(weights[flow.key] for flow in queued if flow.key not in limited)
        per_weight = num_places / total if total else 0.0
        found = [
            flow
            for flow in queued
            if flow.max_running is not None
            and flow.key not in limited
            and flow.max_running < flow.weight * per_weight
        ]
        if not found:
            if per_weight > 0:
                for flow in queued:
                    if flow.key in limited and flow.max_running is not None:
                        weights[flow.key] = max(flow.max_running, 1e-6) / per_weight
            break
        for flow in found:
            limited.add(flow.key)
            num_places -= flow.max_running or 0
    return weights


def _running_s(state: ModelState, speed: Speed) -> float:
    """Return the mean duration of what runs; 0 if it is not known."""
    if not speed.tokens_per_place_s or not state.num_running:
        return 0.0
    mean = state.mean_estimate
    tokens = sum(f.num_running * speed.estimate(f, mean) * f.weight for f in state.flows)
    return tokens / state.num_running / speed.tokens_per_place_s


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Return the mean of values with their weights; 0 if there are none."""
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else 0.0
