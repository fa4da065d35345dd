"""Replay of a day in simulated time: claims, ends and forecasts are real, generation is not."""

import heapq
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from bench.fairness.tenants import Tenants
from bench.waits.day import NUM_PLACES, PROFILES, TOKENS_PER_S, Arrival
from models.forecast.forecast import Forecast, forecast
from models.forecast.speed_meter import SpeedMeter
from models.ids import new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT

MODEL = "replayed by the benchmark"
"""Model that no worker of the server serves."""
FORECAST_S = 4.0
"""Seconds between two forecasts: the server makes one every two."""
SAMPLE_S = 20.0
"""Seconds between two looks at a response that is queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was forecast for a response, and how long it has waited from then on."""

    project_id: str
    eta_s: float
    wait_s: float
    position: int


@dataclass(order=True, slots=True)
class _Run:
    ends_at: float
    number: int
    record: ResponseRecord = field(compare=False)
    num_tokens: int = field(compare=False)


class Replay:
    """Queue of a day, with a clock of its own."""

    def __init__(self, tenants: Tenants, seed: int) -> None:
        self._tenants = tenants
        self._store = tenants.store
        self._dice = random.Random(seed)
        self._worker = _worker()
        self._store.workers.register(self._worker)
        tenants.sql("UPDATE workers SET lease_until = now() + interval '1 day'")
        self._meter = SpeedMeter()
        self._forecast: Forecast | None = None
        self._queued: dict[UUID, tuple[ResponseRecord, int]] = {}
        self._running: list[_Run] = []
        self._num_claims = 0
        self._looks: dict[UUID, list[tuple[float, float, int]]] = {}
        self.samples: list[Sample] = []

    def run(self, arrivals: list[Arrival]) -> None:
        """Let all responses arrive, be forecast, and end."""
        waiting = arrivals[::-1]
        forecast_at, sample_at = 0.0, SAMPLE_S
        while waiting or self._queued or self._running:
            at = min(
                waiting[-1].at if waiting else float("inf"),
                self._running[0].ends_at if self._running else float("inf"),
                forecast_at,
                sample_at,
            )
            if at == forecast_at:
                self._store.flows.refresh()
                self._make_forecast(at)
                forecast_at += FORECAST_S
            elif at == sample_at:
                if self._queued:
                    record, _ = self._dice.choice(list(self._queued.values()))
                    self._look(at, record)
                sample_at += SAMPLE_S
            elif waiting and at == waiting[-1].at:
                self._arrive(at, waiting.pop())
                self._claim(at)
            else:
                self._end(heapq.heappop(self._running))
                self._claim(at)
        self._store.workers.leave(self._worker)

    def _make_forecast(self, at: float) -> None:
        state = self._store.forecasts.of_models().get(MODEL)
        if state is not None:
            self._meter.observe(at, state)
            self._forecast = forecast(state, self._meter.speed())

    def _arrive(self, at: float, arrival: Arrival) -> None:
        record = ResponseRecord(
            id=new_id(),
            project_id=arrival.project_id,
            model=MODEL,
            status=ResponseStatus.QUEUED,
            background=True,
            store=True,
            attempt=0,
            priority=arrival.priority,
            end_user=arrival.end_user,
            created_at=datetime.now(UTC).replace(microsecond=0),
            parameters={},
        )
        self._store.responses.create(record, [])
        self._queued[record.id] = record, arrival.num_tokens
        if self._dice.random() < 0.1:
            self._look(at, record)

    def _look(self, at: float, record: ResponseRecord) -> None:
        """Note what is forecast for a queued response now."""
        if self._forecast is None:
            return
        queue = self._store.forecasts.of_project(record.project_id, MODEL)
        place = self._forecast.place(
            queue,
            record.project_id,
            priority=record.priority,
            end_user=record.end_user,
            response_id=record.id,
        )
        if place.eta_seconds is not None and place.position is not None:
            looks = self._looks.setdefault(record.id, [])
            looks.append((at, place.eta_seconds, place.position))

    def _claim(self, at: float) -> None:
        while self._queued and len(self._running) < NUM_PLACES:
            claimed = self._store.claims.claim(self._worker.id, MODEL)
            if claimed is None:
                return
            _, num_tokens = self._queued.pop(claimed.id)
            for looked_at, eta_s, position in self._looks.pop(claimed.id, ()):
                self.samples.append(
                    Sample(
                        project_id=claimed.project_id,
                        eta_s=eta_s,
                        wait_s=at - looked_at,
                        position=position,
                    )
                )
            self._num_claims += 1
            run = _Run(at + num_tokens / TOKENS_PER_S, self._num_claims, claimed, num_tokens)
            heapq.heappush(self._running, run)

    def _end(self, run: _Run) -> None:
        usage = {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": run.num_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": run.num_tokens,
        }
        ending = TerminalRecord(
            status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC), usage=usage
        )
        assert self._store.finisher.finish(run.record, ending)


def add_projects(tenants: Tenants) -> None:
    """Add the projects of the day, with nothing left of an earlier one."""
    for table in ("responses", "project_flows", "user_flows"):
        tenants.sql(f"DELETE FROM {table} WHERE model = %s", MODEL)
    for profile in PROFILES:
        limits = "{}" if profile.max_running is None else f'{{"max_running":{profile.max_running}}}'
        tenants.sql(
            "INSERT INTO projects (project_id, weight, limits) VALUES (%s, %s, CAST(%s AS json))"
            " ON CONFLICT DO NOTHING",
            profile.project_id,
            profile.weight,
            limits,
        )


def _worker() -> WorkerIdentity:
    return WorkerIdentity(
        id=new_id(), project_id=DEFAULT_PROJECT, name="replay", model=MODEL, host="bench", pid=0
    )
