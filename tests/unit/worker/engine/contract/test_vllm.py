"""What only the engine over vLLM does: its errors, its processes, and its own preemption."""

import json
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.polling import PATIENCE_S, eventually
from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy, sampled
from worker.engine.interface import (
    Delta,
    EngineStoppedError,
    FinishReason,
    ModelTooLargeError,
    UnsupportedModelError,
)

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")

Prompts = list[list[int]]


@pytest.fixture
def forward() -> str:
    return "vllm"


def test_a_row_without_finite_scores_fails_alone(
    harness: Harness, oracle: Oracle, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.engine.vllm.drawer import TokenDrawer
    from worker.engine.vllm.row import Row

    draw = TokenDrawer._draw

    def poison_the_second(self: Any, scores: torch.Tensor, rows: list[Row]) -> list[int]:
        for index, row in enumerate(rows):
            if row.sequence_id == "1":
                scores[index] = float("nan")
        return draw(self, scores, rows)

    monkeypatch.setattr(TokenDrawer, "_draw", poison_the_second)
    outputs = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts[:2])))

    assert harness.reason("1") is FinishReason.ERROR
    assert harness.deltas["1"][-1].error == "no token has a finite score"
    assert outputs == [oracle(prompts[0], 12), []]


def test_a_step_that_fails_loses_the_engine_and_ends_no_sequence(
    harness: Harness, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the device is gone")

    engine: Any = harness.engine
    monkeypatch.setattr(engine._engine, "step", fail)
    engine.submit(greedy("a", prompts[0]))

    eventually(lambda: engine.is_lost)
    assert harness.steps == []
    with pytest.raises(EngineStoppedError):
        engine.submit(greedy("b", prompts[0]))


def test_a_step_that_runs_out_of_memory_is_told_apart(
    harness: Harness,
    prompts: Prompts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    engine: Any = harness.engine
    monkeypatch.setattr(engine._engine, "step", fail)
    engine.submit(greedy("a", prompts[0]))

    eventually(lambda: engine.is_lost)
    assert "out of memory: lower ANTIPHON_MAX_SEQUENCES" in caplog.text


def test_a_step_that_hangs_is_seen(
    harness: Harness, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = harness.engine
    step, go_on = engine._engine.step, threading.Event()

    def hang_later() -> Any:
        if len(harness.tokens("it")) > 8:
            go_on.wait(PATIENCE_S)
        return step()

    monkeypatch.setattr(engine._engine, "step", hang_later)
    monkeypatch.setattr(engine, "_step_limit_s", 0.1)
    engine.submit(greedy("it", prompts[0], 20))

    eventually(lambda: engine.is_stuck)
    go_on.set()
    harness.wait("it")
    assert not engine.is_stuck


def test_nothing_is_compiled_on_its_thread(harness: Harness, prompts: Prompts) -> None:
    """Compiling would hold all rows up; torch has this setting for each thread."""
    import torch._dynamo.config

    is_disabled: list[bool] = []
    harness.on_step_hook = lambda _: is_disabled.append(torch._dynamo.config.disable)

    harness.run(greedy("it", prompts[0], 3))

    assert is_disabled == [True] * len(harness.steps)


def test_the_death_of_one_of_its_processes_loses_the_engine(harness: Harness) -> None:
    engine: Any = harness.engine
    assert not engine.is_lost

    engine._lose()

    assert engine.is_lost


def test_a_request_after_such_a_death_loses_the_engine_and_does_not_fail(
    harness: Harness, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Executor failed.")

    engine: Any = harness.engine
    monkeypatch.setattr(engine._engine, "add_request", fail)
    monkeypatch.setattr(engine._engine.model_executor, "is_failed", True, raising=False)

    engine.submit(greedy("it", prompts[0]))

    eventually(lambda: engine.is_lost)
    assert harness.reason("it") is None


def test_sequences_that_vllm_puts_off_get_what_they_get_alone(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    """Run three answers of 80 tokens in a cache of 192 tokens."""
    asked: dict[str, Any] = {"frequency_penalty": 0.5, "temperature": 0.9}
    requests = [sampled(str(n), prompts[0][n : n + 20], n, 60, **asked) for n in range(3)]
    roomy = make_engine().run(*requests)
    tight = make_engine(kv_cache_bytes=192 * TOKEN_BYTES)

    has_prompts: list[bool] = []
    engine: Any = tight.engine
    tight.on_step_hook = lambda _: has_prompts.append(engine._has_prompts)

    assert tight.run(*requests) == roomy
    assert tight.num_pauses > 0
    # Steps that compute them again may take as long as those with prompts.
    returns = [
        number
        for number in range(1, len(tight.steps))
        if names_of(tight.steps[number]) - names_of(tight.steps[number - 1])
    ]
    assert returns
    assert all(has_prompts[number] for number in returns)


def names_of(deltas: list[Delta]) -> set[str]:
    return {delta.sequence_id for delta in deltas}


def test_a_model_that_vllm_does_not_know_is_refused_with_its_reason(
    make_engine: EngineFactory, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"architectures": ["NobodyForCausalLM"], "model_type": "nobody"}
    (tmp_path / "config.json").write_text(json.dumps(config))

    with pytest.raises((UnsupportedModelError, ValueError), match="nobody"):
        make_engine(folder=tmp_path)


def test_any_error_of_vllm_at_load_refuses_the_model(
    make_engine: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm import EngineArgs

    def fail(*_arguments: object) -> None:
        raise AttributeError("no tokenizer to ask")

    monkeypatch.setattr(EngineArgs, "create_engine_config", fail)

    with pytest.raises(UnsupportedModelError, match="vLLM cannot run it: no tokenizer to ask"):
        make_engine()


@pytest.mark.parametrize("kv_cache_bytes", [8 * TOKEN_BYTES, 1 << 46])
def test_a_cache_without_room_for_a_token_or_in_memory_is_refused(
    make_engine: EngineFactory, kv_cache_bytes: int
) -> None:
    with pytest.raises(ModelTooLargeError):
        make_engine(kv_cache_bytes=kv_cache_bytes)
