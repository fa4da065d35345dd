import pytest
import torch

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import Pack, Row, pack
from worker.engine.transformers.torch_forward.attention import (
    KeyValuePool,
    LayerShape,
    Visibility,
)
from worker.engine.transformers.torch_forward.gathered.decode_padded import PaddedDecodes
from worker.engine.transformers.torch_forward.gathered.paged_step import PagedStep, paged_inputs

BLOCK_SIZE = 4


def decode_sequence(pool: BlockPool, num_tokens: int) -> Sequence:
    """Return a sequence with all but its last token computed."""
    sequence = Sequence(greedy(str(num_tokens), [num_tokens] * num_tokens))
    assert pool.grow(sequence, num_tokens)
    sequence.num_computed = num_tokens - 1
    return sequence


def pack_chunks(*chunks: Chunk) -> Pack:
    return pack(list(chunks), BLOCK_SIZE)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_rows_of_one_token_attend_together(device: str) -> None:
    pool = BlockPool(20, BLOCK_SIZE)
    result = pack_chunks(*(Chunk(decode_sequence(pool, num_tokens), 1) for num_tokens in (14, 3)))
    tensors = KeyValuePool([LayerShape(1, 8, 8)], 80, torch.float32, torch.device(device))

    step = paged_inputs(result, tensors, BLOCK_SIZE, torch.device(device)).attention

    assert isinstance(step, PagedStep)
    decodes = step.layouts.find(Visibility()).decodes
    assert isinstance(decodes, PaddedDecodes)
    assert decodes.num_rows == 2


def test_decodes_lie_in_order_of_length() -> None:
    pool = BlockPool(50, BLOCK_SIZE)
    rows = [decode_sequence(pool, num_tokens) for num_tokens in (14, 3, 9)]

    result = pack_chunks(*(Chunk(row, 1) for row in rows))

    assert result.positions == [2, 8, 13]


def test_a_row_names_the_blocks_of_its_keys_and_no_more() -> None:
    pool = BlockPool(50, BLOCK_SIZE)
    prompt = Sequence(greedy("p", [7] * 14))
    pool.grow(prompt, 14)
    prompt.num_computed = 4

    [row] = pack_chunks(Chunk(prompt, 5)).rows

    assert row == Row(num_tokens=5, num_keys=9, blocks=prompt.blocks[:3])


def test_sampled_rows_follow_the_batch_and_not_the_pack() -> None:
    pool = BlockPool(50, BLOCK_SIZE)
    prompt, unfinished = (Sequence(greedy(name, [ord(name)] * 6)) for name in "pu")
    for sequence in (prompt, unfinished):
        pool.grow(sequence, 6)
    row = decode_sequence(pool, 9)

    result = pack_chunks(Chunk(prompt, 6), Chunk(unfinished, 4), Chunk(row, 1))

    assert [result.token_ids[row] for row in result.sampled_rows] == [ord("p"), 9]
