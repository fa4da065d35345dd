"""The engine's GPU path on a CPU: steps laid out for fused kernels, decodes replayed as graphs.

Parts that need a GPU are replaced by simple ones: the kernels by torch code, row by row, and a
replay by computing again into the tensor of the first time.
"""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy, sampled
from worker.engine.interface import Delta
from worker.engine.transformers.torch_forward.cuda_graphs import Compute, batch_sizes
from worker.engine.transformers.torch_forward.fused_attention import Rows

NUM_TOKENS = 20

Prompts = list[list[int]]


class Replays:
    """Stand-in for captured graphs."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        """Rows of each replay, padding included."""

    def __call__(self, compute: Compute) -> Compute:
        output = compute().clone()

        def replay() -> Tensor:
            self.sizes.append(len(output))
            return output.copy_(compute())

        return replay


def attend(
    query: Tensor, keys: Tensor, values: Tensor, rows: Rows, scale: float | None, output: Tensor
) -> None:
    """Compute the attention of both kernels."""
    starts = rows.query_starts.tolist()
    for row, (length, first) in enumerate(
        zip(rows.lengths.tolist(), rows.table_starts.tolist(), strict=True)
    ):
        start, end = starts[row : row + 2]
        if length == 0:
            output[start:end] = 0
            continue
        blocks = rows.blocks[first : first - (-length // rows.block_size)]
        slots = blocks[:, None] * rows.block_size + torch.arange(rows.block_size)
        slots = slots.flatten()[:length]
        seen = torch.arange(length) <= torch.arange(length - end + start, length)[:, None]
        output[start:end] = scaled_dot_product_attention(
            query[None, start:end].transpose(1, 2),
            keys[None, :, slots],
            values[None, :, slots],
            attn_mask=seen,
            scale=scale,
            enable_gqa=True,
        )[0].transpose(0, 1)


@pytest.fixture
def forward() -> str:
    """Return the name of the forward pass that GPUs use."""
    return "torch"


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Replays:
    """Make engines run as on a GPU from now on."""
    made = Replays()
    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.forward.has_fused_attention", lambda _device: True
    )
    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.forward.GraphCapture", lambda: made
    )
    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.fused_step.attend_decodes", attend
    )
    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.fused_step.attend_prefills", attend
    )
    return made


def test_sizes_are_powers_of_two_and_later_those_between() -> None:
    assert batch_sizes(1) == [1]
    assert batch_sizes(7) == [1, 2, 4, 7]
    assert batch_sizes(64) == [1, 2, 4, 8, 16, 24, 32, 48, 64]
    assert batch_sizes(200) == [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 200]


@pytest.mark.parametrize("max_batch_tokens", [512, 24, 1])
def test_ragged_prompts_get_what_generate_gives(
    replays: Replays,
    make_engine: EngineFactory,
    oracle: Oracle,
    prompts: Prompts,
    max_batch_tokens: int,
) -> None:
    harness = make_engine(max_batch_tokens=max_batch_tokens)

    outputs = harness.run(*(greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)))

    assert outputs == [oracle(prompt, NUM_TOKENS) for prompt in prompts]
    assert 8 in replays.sizes


@pytest.mark.parametrize(("num_rows", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6)])
def test_a_batch_is_filled_up_to_the_next_size(
    replays: Replays, make_engine: EngineFactory, oracle: Oracle, num_rows: int, size: int
) -> None:
    harness = make_engine(max_sequences=6)
    starts = [[7, n, 3 * n, 9] for n in range(num_rows)]

    outputs = harness.run(*(greedy(str(n), p, NUM_TOKENS) for n, p in enumerate(starts)))

    assert outputs == [oracle(prompt, NUM_TOKENS) for prompt in starts]
    assert max(replays.sizes[1:]) == size


def test_prompts_that_join_later_change_nothing(
    replays: Replays, make_engine: EngineFactory, oracle: Oracle, prompts: Prompts
) -> None:
    harness = make_engine()
    late = [greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)]
    first = late.pop()

    def join(_: list[Delta]) -> None:
        if late and len(harness.steps) % 3 == 0:
            harness.engine.submit(late.pop())

    harness.on_step_hook = join
    harness.engine.submit(first)
    harness.wait(*(str(i) for i in range(len(prompts))))

    for i, prompt in enumerate(prompts):
        assert harness.tokens(str(i)) == oracle(prompt, NUM_TOKENS)
    assert len(set(replays.sizes)) > 2


def test_preempted_sequences_still_get_what_generate_gives(
    replays: Replays, make_engine: EngineFactory, oracle: Oracle, prompts: Prompts
) -> None:
    harness = make_engine(kv_cache_bytes=128 * TOKEN_BYTES)
    starts = [prompts[0][i : i + 20] for i in range(3)]

    outputs = harness.run(*(greedy(str(i), p, 40) for i, p in enumerate(starts)))

    assert outputs == [oracle(prompt, 40) for prompt in starts]
    assert {2, 4} <= set(replays.sizes)


def test_what_a_replay_overwrites_nobody_still_reads(
    replays: Replays, make_engine: EngineFactory, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        sampled(str(n), prompt, n, NUM_TOKENS, num_top_logprobs=n or None, frequency_penalty=0.3)
        for n, prompt in enumerate(prompts)
    ]
    replayed = make_engine()
    outputs = replayed.run(*requests)
    monkeypatch.undo()
    ordinary = make_engine()

    assert ordinary.run(*requests) == outputs
    for request in requests:
        for one, other in zip(
            logprobs(replayed, request), logprobs(ordinary, request), strict=True
        ):
            assert one == pytest.approx(other, abs=1e-3)


def logprobs(harness: Harness, request: Any) -> list[float]:
    deltas = harness.deltas[request.sequence_id]
    return [delta.logprobs.drawn for delta in deltas if delta.logprobs is not None]


def test_rows_that_fill_up_a_batch_write_to_no_block(
    replays: Replays, make_engine: EngineFactory, prompts: Prompts
) -> None:
    harness = make_engine(max_sequences=8)
    pool = harness.engine._runner._compute._pool  # type: ignore[attr-defined]
    pool.keys[0].fill_(0.5)

    harness.run(*(greedy(str(i), prompts[i][:9], 3) for i in (0, 2, 4)))

    assert 4 in replays.sizes
    written = (pool.keys[0][0] != 0.5).any(-1).nonzero()[:, 0].tolist()
    assert written[-1] == pool.scratch_slot
    assert len(written) == 3 * (9 + 2) + 1


def test_a_network_that_cannot_be_captured_runs_without(
    replays: Replays,
    make_engine: EngineFactory,
    oracle: Oracle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(compute: Compute) -> Compute:
        raise RuntimeError("called a synchronizing operation")

    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.forward.GraphCapture", lambda: fail
    )

    with caplog.at_level(logging.WARNING):
        harness = make_engine()

    [record] = caplog.records
    assert record.message == "decoding without CUDA graphs"
    assert "synchronizing" in record.__dict__["reason"]
    assert harness.run(greedy("it", [1, 2, 3], NUM_TOKENS)) == [oracle([1, 2, 3], NUM_TOKENS)]


def test_a_network_whose_replays_go_wrong_runs_without(
    replays: Replays, make_engine: EngineFactory, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze(compute: Compute) -> Compute:
        output = compute().clone()
        return lambda: output

    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.forward.GraphCapture", lambda: freeze
    )

    harness = make_engine()

    assert harness.run(greedy("it", [1, 2, 3], NUM_TOKENS)) == [oracle([1, 2, 3], NUM_TOKENS)]


@pytest.mark.parametrize("kernel", ["missing", "wrong"])
def test_kernels_that_do_not_work_are_done_without(
    replays: Replays,
    make_engine: EngineFactory,
    oracle: Oracle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kernel: str,
) -> None:
    def fail(*tensors: Any) -> None:
        if kernel == "missing":
            raise RuntimeError("Failed to find C compiler")
        output = tensors[-1]
        output.copy_(torch.linspace(-1, 1, output.numel()).view_as(output))

    monkeypatch.setattr("worker.engine.transformers.torch_forward.fused_step.attend_decodes", fail)

    with caplog.at_level(logging.WARNING):
        harness = make_engine()

    assert [record.message for record in caplog.records] == ["attending without fused kernels"]
    assert replays.sizes == []
    assert harness.run(greedy("it", [1, 2, 3], NUM_TOKENS)) == [oracle([1, 2, 3], NUM_TOKENS)]


@pytest.mark.nightly
def test_the_kernels_themselves_give_what_generate_gives(
    monkeypatch: pytest.MonkeyPatch, make_engine: EngineFactory, oracle: Oracle
) -> None:
    """Run the real kernels, in Triton's interpreter, which is slow."""
    pytest.importorskip("triton", reason="Triton has no wheels for this platform")
    monkeypatch.setattr(
        "worker.engine.transformers.torch_forward.forward.has_fused_attention", lambda _device: True
    )
    monkeypatch.setattr("worker.engine.transformers.torch_forward.forward.GraphCapture", Replays)
    starts = [[5, 6, 7, 8, 9] * 4, [11]]

    outputs = make_engine(max_sequences=2).run(
        *(greedy(str(n), prompt, 4) for n, prompt in enumerate(starts))
    )

    assert outputs == [oracle(prompt, 4) for prompt in starts]
