"""Hang detection of the engine: by the kind of its step and the duration of earlier ones."""

import threading
from collections.abc import Iterator

import pytest

from tests.polling import eventually
from worker.engine.interface import Delta, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.scripted import ScriptedEngine

_PARAMS = SamplingParams(max_tokens=100_000)


class HangingEngine(ScriptedEngine):
    """Engine that blocks within a step when it is told to."""

    def __init__(self) -> None:
        super().__init__(
            num_tokens=100_000,
            interval_s=0.001,
            max_sequences=4,
            on_step=lambda _: None,
            step_limit_s=0.1,
        )
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.hangs_in_prompt = False

    def _step(self) -> list[Delta]:
        self._has_prompts = self.hangs_in_prompt
        self.may_go_on.wait()
        return super()._step()


@pytest.fixture
def engine() -> Iterator[HangingEngine]:
    started = HangingEngine()
    started.start()
    started.submit(GenerationRequest(sequence_id="a", prompt=[1], params=_PARAMS))
    eventually(lambda: started._num_steps > 10)
    yield started
    started.may_go_on.set()
    started.stop()


def test_a_step_that_does_not_end_is_noticed(engine: HangingEngine) -> None:
    engine.may_go_on.clear()

    eventually(lambda: engine.is_stuck)


def test_steps_that_end_are_no_hang(engine: HangingEngine) -> None:
    before = engine._num_steps
    eventually(lambda: engine._num_steps > before + 10)

    assert not engine.is_stuck


def test_a_long_prompt_is_no_hang(engine: HangingEngine) -> None:
    engine.hangs_in_prompt = True
    engine.may_go_on.clear()

    eventually(lambda: (engine.last_step_age_s or 0) > 0.3)
    assert not engine.is_stuck


def test_a_step_like_those_before_is_no_hang(engine: HangingEngine) -> None:
    engine._longest_step_s = 10.0
    engine.may_go_on.clear()

    eventually(lambda: (engine.last_step_age_s or 0) > 0.3)
    assert not engine.is_stuck


def test_an_idle_engine_is_no_hang(engine: HangingEngine) -> None:
    engine.abort("a")

    eventually(lambda: engine.last_step_age_s is None)
    assert not engine.is_stuck
