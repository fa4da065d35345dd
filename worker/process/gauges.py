"""What a worker measures of itself whenever metrics are published."""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

from models.metrics.table import (
    LAST_TOKEN_AGE,
    VRAM_BYTES,
    WORKER_CACHE_HITS,
    WORKER_DRAINING,
    WORKER_PLACES,
    WORKER_ROWS,
    WORKER_SPEED,
)
from models.metrics.totals import GaugeValue
from worker.engine.interface import Engine
from worker.generation.registry import RunningResponses
from worker.generation.step_meter import StepMeter, Work

SPEED_S = 10.0
"""Seconds over which the speed is an average."""
HITS_S = 300.0
"""Seconds whose prompts count for the share that the prefix cache had."""


class WorkerGauges:
    """Gauges of one worker; `measure` is called by one thread."""

    def __init__(
        self,
        engine: Engine,
        meter: StepMeter,
        running: RunningResponses,
        labels: tuple[str, str],
        *,
        num_places: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the gauges; `labels` are the model and the name of the worker on this host."""
        self._engine = engine
        self._meter = meter
        self._running = running
        self._labels = (labels[0], socket.gethostname(), labels[1])
        self._num_places = num_places
        self._clock = clock
        self._history: deque[tuple[float, Work]] = deque([(clock(), Work())])
        """Work at each measurement of the last minutes, and at one before them."""

    def measure(self) -> Iterator[GaugeValue]:
        """Yield the values of now."""
        age_s = self._engine.last_step_age_s
        yield GaugeValue(LAST_TOKEN_AGE, 0.0 if age_s is None else age_s, self._labels)
        device, num_bytes = self._engine.device_memory()
        yield GaugeValue(VRAM_BYTES, num_bytes, (*self._labels, device))
        yield GaugeValue(WORKER_ROWS, self._engine.num_running, self._labels)
        yield GaugeValue(WORKER_PLACES, self._num_places, self._labels)
        yield GaugeValue(WORKER_DRAINING, float(self._running.is_closed), self._labels)
        yield from self._measure_work()

    def _measure_work(self) -> Iterator[GaugeValue]:
        now, work = self._clock(), self._meter.work
        self._history.append((now, work))
        while self._history[1][0] <= now - HITS_S:
            self._history.popleft()
        began_at, before = self._before(now - SPEED_S)
        if now > began_at:
            speed = (work.output - before.output) / (now - began_at)
            yield GaugeValue(WORKER_SPEED, speed, self._labels)
        _, oldest = self._history[0]
        if num_tokens := work.prompt - oldest.prompt:
            ratio = (work.cached - oldest.cached) / num_tokens
            yield GaugeValue(WORKER_CACHE_HITS, ratio, self._labels)

    def _before(self, moment: float) -> tuple[float, Work]:
        """Return the last measurement that is as old as `moment`, or the first that is known."""
        older = (each for each in reversed(self._history) if each[0] <= moment)
        return next(older, self._history[0])
