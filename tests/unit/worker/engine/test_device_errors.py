"""A device that runs out of memory, and one that fails: with a stub in place of the device."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.polling import eventually
from tests.unit.worker.engine.conftest import Oracle
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.device_errors import is_device_lost, is_out_of_memory
from worker.engine.interface import EngineStoppedError, FinishReason
from worker.engine.transformers.batch.chunk import Chunk

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
LOST = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

Batch = list[Chunk]


def fail(harness: Harness, error: Exception, when: Callable[[Batch], bool]) -> None:
    """Make the forward passes of matching batches raise the error."""
    runner: Any = harness.engine._runner  # type: ignore[attr-defined]
    forward = runner.forward

    def failing(batch: Batch) -> Any:
        if when(batch):
            raise error
        return forward(batch)

    runner.forward = failing


def test_rows_that_do_not_fit_together_run_one_after_the_other(
    harness: Harness, oracle: Oracle, prompts: list[list[int]]
) -> None:
    fail(harness, FULL, lambda batch: len(batch) > 2)

    outputs = harness.run(*(greedy(str(n), prompt) for n, prompt in enumerate(prompts)))

    assert outputs == [oracle(prompt, 12) for prompt in prompts]


def test_a_long_prompt_is_computed_in_chunks_that_fit(
    harness: Harness, oracle: Oracle, prompts: list[list[int]]
) -> None:
    fail(harness, FULL, lambda batch: sum(chunk.num_tokens for chunk in batch) > 40)

    assert harness.run(greedy("long", prompts[0])) == [oracle(prompts[0], 12)]


def test_only_what_does_not_fit_alone_fails(
    harness: Harness, oracle: Oracle, prompts: list[list[int]]
) -> None:
    fail(harness, FULL, lambda batch: any(chunk.sequence.id == "big" for chunk in batch))

    others = [greedy(str(n), prompt) for n, prompt in enumerate(prompts[:3])]
    big, *outputs = harness.run(greedy("big", prompts[4]), *others)

    assert big == []
    assert harness.reason("big") is FinishReason.ERROR
    assert "out of memory" in str(harness.deltas["big"][-1].error)
    assert outputs == [oracle(prompt, 12) for prompt in prompts[:3]]


def test_memory_that_runs_out_while_tokens_are_drawn_costs_none(
    harness: Harness, oracle: Oracle, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    sample = harness.engine._draw.__func__.__globals__["sample"]  # type: ignore[attr-defined]

    def failing(logits: Any, draws: Any, raw: Any) -> Any:
        calls.append(len(draws))
        if len(calls) % 3 == 0 and len(draws) > 1:
            raise FULL
        return sample(logits, draws, raw)

    monkeypatch.setattr("worker.engine.transformers.engine.sample", failing)

    outputs = harness.run(*(greedy(str(n), prompt) for n, prompt in enumerate(prompts)))

    assert outputs == [oracle(prompt, 12) for prompt in prompts]


def test_a_lost_device_ends_no_response_so_that_others_can_go_on_with_it(
    harness: Harness, prompts: list[list[int]]
) -> None:
    fail(harness, LOST, lambda batch: batch[0].sequence.num_generated > 2)

    harness.engine.submit(greedy("it", prompts[0]))

    eventually(lambda: harness.engine.is_lost)
    assert harness.reason("it") is None
    with pytest.raises(EngineStoppedError, match="device"):
        harness.engine.submit(greedy("late", prompts[1]))
    harness.engine.stop()
    assert harness.reason("it") is FinishReason.ABORTED


@pytest.mark.parametrize(
    ("error", "is_full", "is_lost"),
    [
        (FULL, True, False),
        (LOST, False, True),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True, False),
        (
            RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
            False,
            True,
        ),
        (RuntimeError("The size of tensor a must match"), False, False),
        (ValueError("CUDA error"), False, False),
    ],
)
def test_errors_say_what_became_of_the_device(
    error: Exception, is_full: bool, is_lost: bool
) -> None:
    assert (is_out_of_memory(error), is_device_lost(error)) == (is_full, is_lost)
