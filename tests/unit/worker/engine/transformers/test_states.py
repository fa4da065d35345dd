"""Networks with a state per sequence: the engine's output equals that of `model.generate`.

Tiny random networks. Each runs once through prompts of various lengths, some submitted late,
computed in chunks beside others and preempted; then, with more room, a long prompt, a second turn,
several answers to one prompt, and a resume at every position.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedConfig

from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.harness import Harness, greedy
from tests.unit.worker.engine.state_architectures import WITH_STATES
from tests.unit.worker.engine.tiny_networks import generated, saved
from worker.engine.interface import Delta
from worker.engine.transformers.batch.state_blocks import make_block_pool
from worker.engine.transformers.torch_forward.forward import TorchForward
from worker.engine.transformers.torch_forward.mixers import StateStep

NUM_TOKENS = 24
NUM_BLOCKS = 8
"""Blocks of the smaller cache: too few for the first two prompts with their answers."""
CACHE_BYTES = 1 << 22
PROMPTS = [[(7 * n + 3 * size) % 120 for n in range(size)] for size in (60, 18, 1, 16)]
LONG_PROMPT = [(11 * n + n // 7) % 120 for n in range(300)]
SECOND_TURN = [5, 6, 7]
BY_DAY = ("granitemoehybrid", "jamba", "lfm2", "mamba2", "qwen3_next")
"""Architectures that are tried with every change, one for each kind of mixer."""


@dataclass(frozen=True)
class Reference:
    """A network on disk, and the continuations of prompts by `model.generate`."""

    folder: Path
    model: Any
    answers: list[list[int]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(config, id=name, marks=() if name in BY_DAY else pytest.mark.nightly)
        for name, config in WITH_STATES.items()
    ],
)
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    folder = tmp_path_factory.mktemp("network")
    config: PreTrainedConfig = request.param
    model = saved(config, folder)
    return Reference(folder, model, [generated(model, prompt, NUM_TOKENS) for prompt in PROMPTS])


@pytest.fixture
def forward() -> str:
    """Let the engine choose the forward pass."""
    return "auto"


@pytest.fixture
def roomy(reference: Reference, make_engine: EngineFactory) -> Harness:
    return make_engine(folder=reference.folder, kv_cache_bytes=CACHE_BYTES)


def test_torch_computes_them_without_being_told(roomy: Harness) -> None:
    assert type(_runner(roomy)._compute) is TorchForward


def test_ragged_prompts_that_join_late_in_chunks_and_preempted(
    reference: Reference, make_engine: EngineFactory
) -> None:
    harness = make_engine(folder=reference.folder, kv_cache_bytes=CACHE_BYTES, max_batch_tokens=24)
    _shrink(harness)
    preempted = harness.count_preemptions()

    assert _with_late_ones(harness) == reference.answers
    assert preempted


def test_a_long_prompt_a_second_turn_and_several_answers(
    reference: Reference, roomy: Harness
) -> None:
    follow_up = [*PROMPTS[0], *reference.answers[0], *SECOND_TURN]
    [first] = roomy.run(greedy("first", PROMPTS[0], NUM_TOKENS))
    answers = roomy.run(
        greedy("long", LONG_PROMPT, NUM_TOKENS),
        greedy("second", follow_up, NUM_TOKENS),
        *(greedy(f"choice {n}", LONG_PROMPT, NUM_TOKENS) for n in range(3)),
    )

    long_answer = generated(reference.model, LONG_PROMPT, NUM_TOKENS)
    assert first == reference.answers[0]
    assert answers[1] == generated(reference.model, follow_up, NUM_TOKENS)
    assert [answers[0], *answers[2:]] == [long_answer] * 4
    reuses_answers = _runner(roomy).states.reuses_answers
    num_known = len(PROMPTS[0]) + (NUM_TOKENS - 1 if reuses_answers else -2)
    assert _num_cached(roomy, "second") == num_known // roomy.block_size * roomy.block_size > 0
    num_shared = (len(LONG_PROMPT) - 1) // roomy.block_size * roomy.block_size
    assert [_num_cached(roomy, f"choice {n}") for n in range(3)] == [num_shared] * 3


def test_prompts_that_arrive_together_compute_what_they_begin_with_once(
    reference: Reference, make_engine: EngineFactory
) -> None:
    # So few tokens a step that the second is there before the first is past what they share.
    roomy = make_engine(folder=reference.folder, kv_cache_bytes=CACHE_BYTES, max_batch_tokens=24)
    prompts = [[*LONG_PROMPT[:100], *[number] * 40] for number in (1, 2)]

    answers = roomy.run(*(greedy(str(n), each, NUM_TOKENS) for n, each in enumerate(prompts)))

    assert answers == [generated(reference.model, prompt, NUM_TOKENS) for prompt in prompts]
    num_shared = 100 // roomy.block_size * roomy.block_size
    assert [_num_cached(roomy, name) for name in "01"] == [0, num_shared]


def test_a_resume_at_every_position(reference: Reference, roomy: Harness) -> None:
    whole = reference.answers[1]
    resumed = [
        greedy(f"from {n}", PROMPTS[1], NUM_TOKENS, generated=whole[:n]) for n in range(NUM_TOKENS)
    ]

    assert roomy.run(*resumed) == [whole[n:] for n in range(NUM_TOKENS)]


def test_a_step_that_runs_out_of_memory_halfway_changes_no_answer(
    reference: Reference, roomy: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    mix = StateStep.mix

    def failing(step: Any, layer: int, mixer: Any, hidden_states: Any) -> Any:
        mixed = mix(step, layer, mixer, hidden_states)
        calls.append(layer)
        if len(calls) in (5, 9, 30):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return mixed

    monkeypatch.setattr(StateStep, "mix", failing)
    requests = [greedy(str(n), prompt, NUM_TOKENS) for n, prompt in enumerate(PROMPTS)]

    assert roomy.run(*requests) == reference.answers
    assert len(calls) > 30


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_shorter_types_compute_as_well(
    reference: Reference, make_engine: EngineFactory, dtype: str
) -> None:
    if dtype == "int8" and reference.model.config.model_type == "bailing_hybrid":
        pytest.skip("rounding routes tokens of so small a network to other experts")
    harness = make_engine(folder=reference.folder, kv_cache_bytes=CACHE_BYTES, dtype=dtype)
    requests = [greedy(str(n), prompt, NUM_TOKENS) for n, prompt in enumerate(PROMPTS)]

    assert [len(tokens) for tokens in harness.run(*requests)] == [NUM_TOKENS] * len(PROMPTS)


def _with_late_ones(harness: Harness) -> list[list[int]]:
    """Submit two prompts, and one more after each of the second and the fifth step."""
    requests = [greedy(str(n), prompt, NUM_TOKENS) for n, prompt in enumerate(PROMPTS)]
    late = requests[2:]

    def join(_: list[Delta]) -> None:
        if late and len(harness.steps) % 3 == 2:
            harness.engine.submit(late.pop(0))

    harness.on_step_hook = join
    for request in requests[:2]:
        harness.engine.submit(request)
    harness.wait(*(request.sequence_id for request in requests))
    return [harness.tokens(request.sequence_id) for request in requests]


def _num_cached(harness: Harness, sequence_id: str) -> int:
    return harness.deltas[sequence_id][0].num_cached_tokens


def _shrink(harness: Harness) -> None:
    """Leave the engine few blocks; its states take so much of a cache that sizes vary widely."""
    runner = _runner(harness)
    scheduler: Any = harness.engine._scheduler  # type: ignore[attr-defined]
    scheduler._pool = make_block_pool(NUM_BLOCKS, runner.block_size, runner.states)


def _runner(harness: Harness) -> Any:
    return harness.engine._runner  # type: ignore[attr-defined]
