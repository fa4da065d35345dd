"""Attention of decode rows in torch, against a naive float64 reference."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from worker.engine.transformers.torch_forward.attention import AttentionOptions
from worker.engine.transformers.torch_forward.gathered.decode_padded import KeyRange, PaddedDecodes

BLOCK_SIZE = 4
NUM_BLOCKS = 300
LENGTHS = [1, 3, 4, 9, 130, 700]
CPU = torch.device("cpu")
PLAIN = AttentionOptions()
EXACT = {torch.float32: 3e-6, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def tables_of(lengths: list[int]) -> list[list[int]]:
    """Return block tables with blocks from all over the pool, without duplicates."""
    left = iter(torch.randperm(NUM_BLOCKS).tolist())
    return [[next(left) for _ in range(-(-length // BLOCK_SIZE))] for length in lengths]


def decodes_of(tables: list[list[int]], lengths: list[int]) -> PaddedDecodes:
    rows = [KeyRange(table, 0, length) for table, length in zip(tables, lengths, strict=True)]
    return PaddedDecodes(rows, BLOCK_SIZE, CPU)


def pool(num_heads: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(num_heads, NUM_BLOCKS * BLOCK_SIZE, size).to(dtype)


def expected(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    tables: list[list[int]],
    lengths: list[int],
    scale: float,
) -> Tensor:
    rows = []
    for row, (table, length) in enumerate(zip(tables, lengths, strict=True)):
        slots = [table[n // BLOCK_SIZE] * BLOCK_SIZE + n % BLOCK_SIZE for n in range(length)]
        group = query.shape[1] // len(keys)
        for head, single in enumerate(query[row].double()):
            weights = (keys[head // group, slots].double() @ single * scale).softmax(0)
            rows.append(weights @ values[head // group, slots].double())
    return torch.stack(rows).view(*query.shape[:2], -1)


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 3, 64, 64), (2, 8, 24, 16)], ids=str)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_every_row_attends_over_its_own_keys(
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    scale: float | None,
) -> None:
    num_heads, group, size, value_size = shape
    tables = tables_of(LENGTHS)
    keys, values = pool(num_heads, size, dtype), pool(num_heads, value_size, dtype)
    query = torch.randn(len(LENGTHS), num_heads * group, size).to(dtype)

    output = decodes_of(tables, LENGTHS).attend(query, keys, values, AttentionOptions(scale))

    exact = expected(query, keys, values, tables, LENGTHS, scale or size**-0.5)
    torch.testing.assert_close(output.double(), exact, rtol=0, atol=EXACT[dtype])


def test_scores_far_apart_neither_overflow_nor_mix() -> None:
    [table] = tables_of([6])
    keys, values = pool(1, 8), pool(1, 8)
    query = torch.randn(1, 2, 8) * 1e4

    output = decodes_of([table], [6]).attend(query, keys, values, PLAIN)

    exact = expected(query, keys, values, [table], [6], 8**-0.5)
    torch.testing.assert_close(output.double(), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(poison: float) -> None:
    lengths = [5, 6, 11]
    tables = tables_of(lengths)
    keys, values, query = pool(2, 8), pool(2, 8), torch.randn(3, 4, 8)
    clean = decodes_of(tables, lengths).attend(query, keys, values, PLAIN)
    keys[:, tables[1][0] * BLOCK_SIZE] = poison
    values[:, tables[1][0] * BLOCK_SIZE] = poison

    output = decodes_of(tables, lengths).attend(query, keys, values, PLAIN)

    assert not output[1].isfinite().all()
    assert output[[0, 2]].equal(clean[[0, 2]])


@pytest.mark.parametrize("position", [0, 2, 5])
def test_a_single_key_that_is_not_a_number_is_not_hidden(position: int) -> None:
    [table] = tables_of([6])
    keys, values, query = pool(1, 8), pool(1, 8), torch.randn(1, 2, 8)
    keys[0, table[position // BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE] = float("nan")

    output = decodes_of([table], [6]).attend(query, keys, values, PLAIN)

    assert output.isnan().all()


def test_a_row_reads_only_slots_of_its_own_blocks() -> None:
    lengths = [3, 9, 14]
    tables = tables_of(lengths)

    [group] = decodes_of(tables, lengths).groups

    for table, length, slots, mask in zip(
        tables, lengths, group.slots, group.mask[:, 0, 0], strict=True
    ):
        assert {int(slot) // BLOCK_SIZE for slot in slots} <= set(table)
        assert int(mask.sum()) == length


def test_a_long_row_does_not_widen_the_short_ones() -> None:
    lengths = [5, 130, 600]

    decodes = decodes_of(tables_of(lengths), lengths)

    assert [group.slots.shape for group in decodes.groups] == [(1, 5), (1, 130), (1, 600)]
