"""What a project has queued and running for one model, as forecasts see it."""

from dataclasses import dataclass

FlowKey = tuple[str, bool]
"""Project id, and True for its responses of the tier `flex`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """State of one flow of fair queueing; tokens are divided by the project's weight."""

    project_id: str
    is_flex: bool
    virtual_time: float
    """Virtual time at which its next response would start if none were running."""
    service: float
    """Tokens that it has been charged for."""
    estimate: float
    """Tokens that the next response is expected to take; 0 if none has ended."""
    weight: float
    max_running: int | None
    num_queued: int
    num_running: int

    @property
    def key(self) -> FlowKey:
        """Identity of the flow among those of its model."""
        return self.project_id, self.is_flex


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """Flows of one model, and the number of workers that serve it."""

    flows: tuple[FlowState, ...]
    num_workers: int

    @property
    def num_running(self) -> int:
        """Number of running responses."""
        return sum(flow.num_running for flow in self.flows)

    @property
    def mean_estimate(self) -> float:
        """Mean of the estimates that are known; 1 if none is."""
        known = [flow.estimate for flow in self.flows if flow.estimate > 0]
        return sum(known) / len(known) if known else 1.0
