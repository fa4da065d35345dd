"""Attention of decoding rows through torch's own operators, on any device.

IdempotencyKeys and values are gathered from the pool, rows of similar length together and padded.
"""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_SHORT_BITS = 7


class PaddedDecodes:
    """Rows of one query token each, the first ones of a pack, with the slots of their keys."""

    def __init__(
        self, tables: list[list[int]], lengths: list[int], block_size: int, device: torch.device
    ) -> None:
        """Take for each row its block numbers, and how many keys it has in them; lengths rise."""
        self.num_rows = len(lengths)
        self.groups = [
            _group(tables, lengths, rows, block_size, device) for rows in _similar(lengths)
        ]

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
        """Map query [rows, query heads, size] and a layer's pool [heads, slots, size] to
        [rows, query heads, value size]."""
        return torch.cat([_attend(query, keys, values, group, scale) for group in self.groups])


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Rows of similar length."""

    rows: range
    slots: Tensor
    """[rows, longest]: where the keys lie; past a row's length, its own first slot."""
    mask: Tensor
    """[rows, 1, 1, longest]: true within the row's length."""


def _similar(lengths: list[int]) -> list[range]:
    """Rows whose lengths lie within a factor of two; all short ones."""
    found = []
    bits = [max(length.bit_length(), _SHORT_BITS) for length in lengths]
    for _, members in groupby(range(len(lengths)), bits.__getitem__):
        first, *others = members
        found.append(range(first, first + 1 + len(others)))
    return found


def _group(
    tables: list[list[int]],
    lengths: list[int],
    rows: range,
    block_size: int,
    device: torch.device,
) -> DecodeGroup:
    longest = lengths[rows[-1]]
    num_blocks = -(-longest // block_size)
    padded = [tables[row] + [0] * (num_blocks - len(tables[row])) for row in rows]
    starts = torch.tensor(padded)[:, :, None] * block_size
    slots = (starts + torch.arange(block_size)).flatten(1)[:, :longest]
    is_key = torch.arange(longest)[None] < torch.tensor([lengths[row] for row in rows])[:, None]
    # Padding repeats the row's own first slot: a neighbour's NaN would pass through the mask.
    slots = torch.where(is_key, slots, slots[:, :1])
    return DecodeGroup(rows, slots.to(device), is_key[:, None, None].to(device))


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, group: DecodeGroup, scale: float | None
) -> Tensor:
    # The query heads that share a key head become its query length: keys are never repeated.
    rows = query[group.rows.start : group.rows.stop]
    output = scaled_dot_product_attention(
        rows.reshape(len(rows), len(keys), -1, rows.shape[2]),
        _of_rows(keys, group),
        _of_rows(values, group),
        attn_mask=group.mask,
        scale=scale,
    )
    return output.reshape(len(rows), query.shape[1], -1)


def _of_rows(pool: Tensor, group: DecodeGroup) -> Tensor:
    """[rows, heads, longest, size]; `index_select` copies twice as fast as an index in brackets."""
    found = pool.index_select(1, group.slots.flatten())
    return found.view(len(found), *group.slots.shape, found.shape[-1]).transpose(0, 1)
