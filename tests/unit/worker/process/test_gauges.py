"""What a worker measures of itself: its batch, its speed, and what its prefix cache had."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from models.metrics.metric import Metric
from models.metrics.table import (
    LAST_TOKEN_AGE,
    WORKER_CACHE_HITS,
    WORKER_DRAINING,
    WORKER_PLACES,
    WORKER_ROWS,
    WORKER_SPEED,
)
from worker.engine.interface import Delta
from worker.generation.registry import RunningResponses
from worker.generation.step_meter import StepMeter
from worker.process.gauges import HITS_S, WorkerGauges


class Bench:
    """Gauges of a worker at times and with steps of the test's own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.meter = StepMeter("m")
        self.running = RunningResponses()
        self.engine: Any = SimpleNamespace(
            last_step_age_s=None, num_running=3, device_memory=lambda: ("cpu", 1)
        )
        self._gauges = WorkerGauges(
            self.engine,
            self.meter,
            self.running,
            ("m", "w1"),
            num_places=8,
            clock=lambda: self.now,
        )

    def measure(self, after_s: float = 2.0) -> dict[Metric, float]:
        self.now += after_s
        found = list(self._gauges.measure())
        assert all(gauge.labels[:3] == ("m", socket.gethostname(), "w1") for gauge in found)
        return {gauge.metric: gauge.value for gauge in found}

    def generate(self, num_tokens: int) -> None:
        self.meter.note_step([Delta(sequence_id="s", token_id=1)] * num_tokens, at=self.now)

    def begin(self, num_prompt_tokens: int, num_cached: int) -> None:
        started: Any = SimpleNamespace(
            is_first_token_due=False, first_token_ns=1, num_prompt_tokens=num_prompt_tokens
        )
        self.meter.expect(started, ["first"])
        delta = Delta(sequence_id="first", token_id=1, num_cached_tokens=num_cached)
        self.meter.note_step([delta], at=self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_batch_and_its_places_are_those_of_the_engine(bench: Bench) -> None:
    found = bench.measure()

    assert (found[WORKER_ROWS], found[WORKER_PLACES], found[LAST_TOKEN_AGE]) == (3, 8, 0)


def test_the_speed_is_that_of_the_last_ten_seconds(bench: Bench) -> None:
    bench.generate(40)
    assert bench.measure()[WORKER_SPEED] == 20

    for _ in range(5):
        bench.generate(6)
        speed = bench.measure()[WORKER_SPEED]
    assert speed == 3

    for _ in range(5):
        speed = bench.measure()[WORKER_SPEED]
    assert speed == 0


def test_hits_are_those_of_prompts_of_the_last_minutes(bench: Bench) -> None:
    assert WORKER_CACHE_HITS not in bench.measure()

    bench.begin(num_prompt_tokens=30, num_cached=24)
    bench.begin(num_prompt_tokens=10, num_cached=90)
    assert bench.measure()[WORKER_CACHE_HITS] == 34 / 40

    bench.measure(HITS_S)
    bench.begin(num_prompt_tokens=10, num_cached=0)
    assert bench.measure()[WORKER_CACHE_HITS] == 0
    assert WORKER_CACHE_HITS not in bench.measure(HITS_S)


def test_a_worker_that_is_being_stopped_says_so(bench: Bench) -> None:
    assert bench.measure()[WORKER_DRAINING] == 0

    bench.running.close()

    assert bench.measure()[WORKER_DRAINING] == 1
