"""Attention of decode rows through torch's own operators, on any device.

Keys and values are gathered from the pool, those of rows of similar length together, and padded.
"""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_SHORT_BITS = 7
"""Rows whose lengths have at most so many bits (127 keys) form one group."""


class PaddedDecodes:
    """Rows of one query token each, the first ones of a pack, with the slots of their keys."""

    def __init__(
        self, tables: list[list[int]], lengths: list[int], block_size: int, device: torch.device
    ) -> None:
        """Group the rows by length.

        `tables` holds the block numbers of each row, `lengths` its number of keys, ascending.
        """
        self.num_rows = len(lengths)
        self.groups = [
            _make_group(tables, lengths, rows, block_size, device)
            for rows in _group_by_length(lengths)
        ]

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
        """Map query [rows, query heads, size] to [rows, query heads, value size].

        Keys and values are a layer's whole pool, [heads, slots, size].
        """
        return torch.cat([_attend(query, keys, values, group, scale) for group in self.groups])


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Rows of similar length."""

    rows: range
    slots: Tensor
    """[rows, longest]: slots of the keys; beyond a row's length, the row's own first slot."""
    mask: Tensor
    """[rows, 1, 1, longest]: True within the row's length."""


def _group_by_length(lengths: list[int]) -> list[range]:
    """Return ranges of rows with lengths within a factor of two; all short rows are in one."""
    found = []
    bits = [max(length.bit_length(), _SHORT_BITS) for length in lengths]
    for _, members in groupby(range(len(lengths)), bits.__getitem__):
        first, *others = members
        found.append(range(first, first + 1 + len(others)))
    return found


def _make_group(
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
    # Padding repeats the row's own first slot: a NaN of another sequence would pass the mask.
    slots = torch.where(is_key, slots, slots[:, :1])
    return DecodeGroup(rows, slots.to(device), is_key[:, None, None].to(device))


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, group: DecodeGroup, scale: float | None
) -> Tensor:
    # Query heads that share a key head become the query dimension, so that no keys are copied.
    rows = query[group.rows.start : group.rows.stop]
    output = scaled_dot_product_attention(
        rows.reshape(len(rows), len(keys), -1, rows.shape[2]),
        _gather(keys, group),
        _gather(values, group),
        attn_mask=group.mask,
        scale=scale,
    )
    return output.reshape(len(rows), query.shape[1], -1)


def _gather(pool: Tensor, group: DecodeGroup) -> Tensor:
    """Return the keys or values of a group, [rows, heads, longest, size].

    `index_select` copies twice as fast as indexing by a tensor.
    """
    found = pool.index_select(1, group.slots.flatten())
    return found.view(len(found), *group.slots.shape, found.shape[-1]).transpose(0, 1)
