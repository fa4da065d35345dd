"""Inputs of a step as laid out for a graph, and outputs read from it."""

import numpy as np
import pytest
import torch

from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.harness import greedy
from tests.unit.worker.engine.transformers.openvino.conftest import EXACT, ReadNetwork, compiled
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import Pack, pack
from worker.engine.transformers.device import has_native_bfloat16
from worker.engine.transformers.openvino.compiled_graph import CompiledGraph, step_inputs
from worker.engine.transformers.openvino.precision import Execution

BLOCK_SIZE = 4
NUMBERS_PER_TOKEN = 2 * 2 * 32 * 2
"""KV cache blocks of two layers with two key heads of size 32, keys and values."""


def running(pool: BlockPool, tokens: list[int], num_computed: int) -> Sequence:
    sequence = Sequence(greedy(str(tokens), tokens))
    assert pool.grow(sequence, len(tokens))
    sequence.num_computed = num_computed
    return sequence


def step_of(*prompts: tuple[list[int], int], block_size: int = BLOCK_SIZE) -> Pack:
    """Pack the rest of the prompts, each with the number of tokens already computed."""
    pool = BlockPool(8, block_size)
    sequences = [running(pool, *prompt) for prompt in prompts]
    return pack([Chunk(sequence, sequence.num_pending) for sequence in sequences], block_size)


def test_a_step_says_what_each_sequence_has_and_where_its_blocks_lie() -> None:
    packed = step_of(([1, 2, 3, 4, 5, 6], 2), ([7, 8, 9], 2))

    inputs = {
        name: numbers.tolist() for name, numbers in step_inputs(packed, BLOCK_SIZE, [0]).items()
    }

    # The row of one token comes first.
    assert inputs["input_ids"] == [9, 3, 4, 5, 6]
    assert inputs["position_ids"] == [2, 2, 3, 4, 5]
    assert inputs["sampled_rows"] == [4, 0]
    assert inputs["past_lens"] == [2, 2]
    assert inputs["subsequence_begins"] == [0, 1, 5]
    assert inputs["block_indices"] == [*packed.rows[0].blocks, *packed.rows[1].blocks]
    assert inputs["block_indices_begins"] == [0, 1, 3]
    assert inputs["max_context_len"] == 6


def test_layers_with_a_window_get_no_blocks_before_it() -> None:
    packed = step_of((list(range(12)), 9), (list(range(12)), 11), ([1, 2], 1))

    inputs = {name: each.tolist() for name, each in step_inputs(packed, BLOCK_SIZE, [0, 5]).items()}

    short, one, several = (row.blocks for row in packed.rows)
    assert inputs["past_lens"] == [1, 11, 9]
    assert inputs["block_indices"] == [*short, *one, *several]
    # The queries at positions 11 and 9 see keys from positions 7 and 5 on.
    assert inputs["past_lens.5"] == [1, 7, 5]
    assert inputs["block_indices.5"] == [*short, *one[1:], *several[1:]]
    assert inputs["block_indices_begins.5"] == [0, 1, 3, 5]
    assert inputs["max_context_len.5"] == 8
    assert inputs["subsequence_begins"] == [0, 1, 2, 5]


def test_inputs_have_the_types_that_the_plugin_wants() -> None:
    inputs = step_inputs(step_of(([1, 2, 3], 0)), BLOCK_SIZE, [0, 2])

    is_long = {name for name, numbers in inputs.items() if numbers.dtype == np.int64}
    assert is_long == {"input_ids", "position_ids", "sampled_rows"}
    assert {inputs[name].dtype for name in set(inputs) - is_long} == {np.dtype(np.int32)}
    assert inputs["max_context_len"].shape == inputs["max_context_len.2"].shape == ()


def test_logits_reach_the_sampler_without_a_copy(read: ReadNetwork) -> None:
    graph = compiled(read())
    packed = step_of(([1, 2, 3], 0), ([4], 0), block_size=graph.block_size)

    logits = graph(packed)

    output = graph._request.get_output_tensor(0).data
    assert np.shares_memory(logits.numpy(), output)
    assert logits.shape == (2, 512)
    assert logits.dtype == torch.float32
    logits += 1  # the sampler writes to the logits in place
    assert (output == logits.numpy()).all()


def test_a_step_without_a_due_sequence_gives_no_logits(read: ReadNetwork) -> None:
    graph = compiled(read())
    sequence = running(BlockPool(8, graph.block_size), [1, 2, 3], 0)

    logits = graph(pack([Chunk(sequence, 2)], graph.block_size))

    assert logits.shape == (0, 512)


@pytest.mark.parametrize(("precision", "bytes_per_number"), [("f32", 4), ("bf16", 2)])
def test_a_block_takes_what_its_numbers_take(
    read: ReadNetwork, precision: str, bytes_per_number: int
) -> None:
    if precision == "bf16" and not has_native_bfloat16():
        pytest.skip("this processor computes in float32")
    graph = CompiledGraph(read().graph, Execution(precision, precision, num_threads=1))

    assert graph.block_size == 32
    assert graph.block_bytes == 32 * NUMBERS_PER_TOKEN * bytes_per_number


def test_a_block_in_8_bits_has_as_many_tokens_and_room_for_scales(read: ReadNetwork) -> None:
    graph = CompiledGraph(read().graph, Execution("f32", "u8", num_threads=1))

    assert graph.block_size == 32
    assert 32 * NUMBERS_PER_TOKEN < graph.block_bytes < 2 * 32 * NUMBERS_PER_TOKEN


def test_execution_is_given_to_the_plugin_by_its_names() -> None:
    properties = EXACT.properties()

    assert properties["INFERENCE_NUM_THREADS"] == 1
    assert properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert properties["KV_CACHE_PRECISION"] == "f32"


@pytest.mark.parametrize("forward", ["openvino"])
def test_an_engine_whose_cache_is_in_8_bits_generates(
    make_engine: EngineFactory, read: ReadNetwork, prompts: list[list[int]]
) -> None:
    # Otherwise the plugin would write past the end of the cache.
    assert CompiledGraph(read().graph, Execution("f32", "u8", num_threads=1)).block_size == 32
    harness = make_engine(kv_cache_dtype="int8", kv_cache_bytes=1 << 20)
    roomy = make_engine(kv_cache_bytes=1 << 20)

    answers = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts)))
    again = harness.run(*(greedy(f"again {i}", p) for i, p in enumerate(prompts)))

    assert [len(tokens) for tokens in answers] == [12] * len(prompts)
    assert again == answers
    assert harness.engine._runner.num_blocks > 2 * roomy.engine._runner.num_blocks  # type: ignore[attr-defined]
