"""Every architecture: the engine's output equals that of `model.generate` for each prompt alone.

Tiny random networks. Each runs once through the difficult cases: prompts of various lengths, some
submitted late, prefilled in chunks, short of blocks so that sequences are preempted; then, with
more room, a prompt of 300 tokens, a second turn that shares the blocks of the first, several
answers to one prompt, and a resume at every position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedConfig

from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.harness import Harness, greedy
from tests.unit.worker.engine.tiny_architectures import (
    FULL_ATTENTION,
    ONLY_IN_TORCH,
    REFUSED_BY_OPENVINO,
    WITH_WINDOWS,
)
from tests.unit.worker.engine.tiny_networks import generated, saved
from worker.engine.interface import Delta, EngineConfig, UnsupportedModelError
from worker.engine.transformers.model_runner import ModelRunner

NUM_TOKENS = 24
NUM_CACHED = 128
"""Tokens that the smaller KV cache holds: too few for the first two prompts with their answers."""
CACHE_BYTES = 1 << 22
PROMPTS = [[(7 * n + 3 * size) % 120 for n in range(size)] for size in (60, 18, 1, 16)]
LONG_PROMPT = [(11 * n * n + 5) % 120 for n in range(300)]
SECOND_TURN = [5, 6, 7]
BY_DAY = ("deepseek_v3", "gemma", "gpt2", "llama", "mistral", "mixtral", "phi3", "qwen2", "qwen3")
"""Architectures that are tried with every change; the others by night."""
WINDOWS_BY_DAY = ("gemma3_text", "gemma4_text with shared keys", "gpt_oss", "mistral")
TORCH_BY_DAY = ("gemma2", "llama4_text")


@dataclass(frozen=True)
class Reference:
    """A network on disk, and the continuations of prompts by `model.generate`."""

    folder: Path
    answers: list[list[int]]
    second_answer: list[int]
    long_answer: list[int]

    @property
    def follow_up(self) -> list[int]:
        return [*PROMPTS[0], *self.answers[0], *SECOND_TURN]


def reference_of(config: PreTrainedConfig, folder: Path) -> Reference:
    model = saved(config, folder)
    answers = [generated(model, prompt, NUM_TOKENS) for prompt in PROMPTS]
    follow_up = [*PROMPTS[0], *answers[0], *SECOND_TURN]
    return Reference(
        folder=folder,
        answers=answers,
        second_answer=generated(model, follow_up, NUM_TOKENS),
        long_answer=generated(model, LONG_PROMPT, NUM_TOKENS),
    )


def _by_day(configs: dict[str, PreTrainedConfig], by_day: Sequence[str]) -> list[Any]:
    """Return the configurations as parameters of tests, all others than `by_day` nightly."""
    return [
        pytest.param(config, id=name, marks=() if name in by_day else pytest.mark.nightly)
        for name, config in configs.items()
    ]


@pytest.fixture(scope="module", params=_by_day(FULL_ATTENTION, BY_DAY))
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    return reference_of(request.param, tmp_path_factory.mktemp("network"))


def test_an_architecture_gets_what_generate_gives(
    reference: Reference, make_engine: EngineFactory
) -> None:
    check(reference, make_engine)


@pytest.fixture(scope="module", params=_by_day(WITH_WINDOWS, WINDOWS_BY_DAY))
def reference_with_windows(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    return reference_of(request.param, tmp_path_factory.mktemp("network"))


def test_layers_with_windows_get_what_generate_gives(
    reference_with_windows: Reference, make_engine: EngineFactory
) -> None:
    check(reference_with_windows, make_engine)


@pytest.mark.parametrize("forward", ["torch"])
@pytest.mark.parametrize("config", _by_day(ONLY_IN_TORCH, TORCH_BY_DAY))
def test_torch_computes_what_openvino_has_no_operation_for(
    config: PreTrainedConfig, tmp_path: Path, make_engine: EngineFactory
) -> None:
    check(reference_of(config, tmp_path), make_engine)


@pytest.mark.parametrize(
    ("config", "reason"), REFUSED_BY_OPENVINO.values(), ids=list(REFUSED_BY_OPENVINO)
)
def test_what_openvino_would_compute_wrongly_is_refused(
    config: PreTrainedConfig, reason: str, tmp_path: Path
) -> None:
    saved(config, tmp_path)
    settings: dict[str, Any] = {"dtype": "float32", "forward": "openvino", "num_threads": 1}

    with pytest.raises(UnsupportedModelError, match=reason):
        ModelRunner(
            EngineConfig(folder=tmp_path, kv_cache_bytes=CACHE_BYTES, max_sequences=1, **settings)
        )


def check(reference: Reference, make_engine: EngineFactory) -> None:
    roomy = make_engine(folder=reference.folder, kv_cache_bytes=CACHE_BYTES)
    tight = make_engine(
        folder=reference.folder,
        kv_cache_bytes=NUM_CACHED * _token_bytes(roomy),
        max_batch_tokens=24,
    )
    preempted = tight.count_preemptions()

    assert _with_late_ones(tight) == reference.answers
    assert preempted
    assert roomy.run(greedy("long", LONG_PROMPT, NUM_TOKENS)) == [reference.long_answer]
    _check_shared_prefixes(roomy, reference)
    _check_resumes(roomy, reference)


def _check_shared_prefixes(harness: Harness, reference: Reference) -> None:
    choices = [greedy(f"choice {n}", PROMPTS[0], NUM_TOKENS) for n in range(3)]
    assert harness.run(*choices) == [reference.answers[0]] * 3

    second = harness.run(greedy("second", reference.follow_up, NUM_TOKENS))
    assert second == [reference.second_answer]
    num_known = len(PROMPTS[0]) + NUM_TOKENS - 1
    num_cached = num_known // harness.block_size * harness.block_size
    assert harness.deltas["second"][0].num_cached_tokens == num_cached > 0


def _check_resumes(harness: Harness, reference: Reference) -> None:
    whole = reference.answers[1]
    resumed = [
        greedy(f"from {n}", PROMPTS[1], NUM_TOKENS, generated=whole[:n]) for n in range(NUM_TOKENS)
    ]

    assert harness.run(*resumed) == [whole[n:] for n in range(NUM_TOKENS)]


def _with_late_ones(harness: Harness) -> list[list[int]]:
    """Submit a prompt, and one more after each of the first three steps."""
    requests = [greedy(str(i), prompt, NUM_TOKENS) for i, prompt in enumerate(PROMPTS)]
    late = requests[1:]

    def join(_: list[Delta]) -> None:
        if late and len(harness.steps) % 3 == 1:
            harness.engine.submit(late.pop(0))

    harness.on_step_hook = join
    harness.engine.submit(requests[0])
    harness.wait(*(request.sequence_id for request in requests))
    return [harness.tokens(request.sequence_id) for request in requests]


def _token_bytes(harness: Harness) -> int:
    """Return the bytes of a token in the network's KV cache, whose size is `CACHE_BYTES`."""
    runner: Any = harness.engine._runner  # type: ignore[attr-defined]
    return int(CACHE_BYTES // (runner.num_blocks * runner.block_size))
