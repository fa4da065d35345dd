import torch

from tests.unit.engine.harness import greedy
from worker.engine.blocks import BlockPool
from worker.engine.packing import Pack, pack
from worker.engine.scheduler import Chunk
from worker.engine.sequence import Sequence

BLOCK_SIZE = 4


def decoding(pool: BlockPool, num_tokens: int) -> Sequence:
    """A sequence with all but its last token computed."""
    sequence = Sequence(greedy(str(num_tokens), [num_tokens] * num_tokens))
    assert pool.grow(sequence, num_tokens)
    sequence.num_computed = num_tokens - 1
    return sequence


def packed(*chunks: Chunk) -> Pack:
    return pack(list(chunks), BLOCK_SIZE, torch.device("cpu"))


def test_a_row_reads_only_slots_of_its_own_blocks() -> None:
    pool = BlockPool(20, BLOCK_SIZE)
    rows = [decoding(pool, num_tokens) for num_tokens in (3, 9, 14)]

    [group] = packed(*(Chunk(row, 1) for row in rows)).groups

    for row, slots, mask in zip(rows, group.slots, group.mask[:, 0, 0], strict=True):
        assert {int(slot) // BLOCK_SIZE for slot in slots} <= set(row.blocks)
        assert int(mask.sum()) == len(row.tokens)


def test_a_long_row_does_not_widen_the_short_ones() -> None:
    pool = BlockPool(200, BLOCK_SIZE)
    long, short, medium = (decoding(pool, size) for size in (600, 5, 130))

    groups = packed(Chunk(long, 1), Chunk(short, 1), Chunk(medium, 1)).groups

    assert [group.slots.shape for group in groups] == [(1, 5), (1, 130), (1, 600)]


def test_sampled_rows_follow_the_batch_and_not_the_pack() -> None:
    pool = BlockPool(50, BLOCK_SIZE)
    prompt, unfinished = (Sequence(greedy(name, [ord(name)] * 6)) for name in "pu")
    for each in (prompt, unfinished):
        pool.grow(each, 6)
    row = decoding(pool, 9)

    result = packed(Chunk(prompt, 6), Chunk(unfinished, 4), Chunk(row, 1))

    sampled = result.token_ids[0][result.sampled_rows].tolist()
    assert sampled == [ord("p"), 9]
