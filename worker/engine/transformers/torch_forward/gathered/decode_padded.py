"""Attention of decode rows through torch's own operators, on any device.

Keys and values are gathered from the pool, those of rows of similar length together, and padded.
"""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import pad

from worker.engine.transformers.torch_forward.attention import AttentionOptions
from worker.engine.transformers.torch_forward.gathered.dense import attend_grouped

_SHORT_BITS = 7
"""Rows whose lengths have at most so many bits (127 keys) form one group."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys that a row attends to: those at positions `first:end` of its sequence."""

    blocks: list[int]
    """Cache blocks of the sequence, from its start."""
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


class PaddedDecodes:
    """Rows of one query token each, the first ones of a pack, with the slots of their keys."""

    def __init__(
        self,
        rows: list[KeyRange],
        block_size: int,
        device: torch.device,
        sink_slot: int | None = None,
    ) -> None:
        """Group consecutive rows by their number of keys.

        `sink_slot` is one more key of every row, after its own.
        """
        self.num_rows = len(rows)
        self.groups = [
            _make_group(rows, members, block_size, device, sink_slot)
            for members in _group_by_length([len(row) for row in rows])
        ]

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Map query [rows, query heads, size] to [rows, query heads, value size].

        Keys and values are a layer's whole pool, [heads, slots, size].
        """
        return torch.cat([_attend(query, keys, values, group, options) for group in self.groups])


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Rows of similar length."""

    rows: range
    slots: Tensor
    """[rows, longest]: slots of the keys; beyond a row's length, the row's own first slot."""
    mask: Tensor
    """[rows, 1, 1, longest]: True within the row's length."""


def _group_by_length(lengths: list[int]) -> list[range]:
    """Return ranges of rows with lengths within a factor of two.

    Short rows next to each other are in one.
    """
    found = []
    bits = [max(length.bit_length(), _SHORT_BITS) for length in lengths]
    for _, members in groupby(range(len(lengths)), bits.__getitem__):
        first, *others = members
        found.append(range(first, first + 1 + len(others)))
    return found


def _make_group(
    rows: list[KeyRange],
    members: range,
    block_size: int,
    device: torch.device,
    sink_slot: int | None,
) -> DecodeGroup:
    ranges = rows[members.start : members.stop]
    longest = max(map(len, ranges))
    # Blocks before a row's first key are left out, so the key is at an offset in the first block.
    offsets = [each.first % block_size for each in ranges]
    num_blocks = -(-(max(offsets) + longest) // block_size)
    tables = [each.blocks[each.first // block_size :][:num_blocks] for each in ranges]
    padded = [table + [0] * (num_blocks - len(table)) for table in tables]
    starts = torch.tensor(padded)[:, :, None] * block_size
    slots = (starts + torch.arange(block_size)).flatten(1)
    columns = torch.arange(longest)
    if any(offsets):
        slots = slots.gather(1, torch.tensor(offsets)[:, None] + columns)
    else:
        slots = slots[:, :longest]
    is_key = columns[None] < torch.tensor([len(each) for each in ranges])[:, None]
    # Padding repeats the row's own first slot: a NaN of another sequence would pass the mask.
    slots = torch.where(is_key, slots, slots[:, :1])
    if sink_slot is not None:
        slots, is_key = pad(slots, (0, 1), value=sink_slot), pad(is_key, (0, 1), value=True)
    return DecodeGroup(members, slots.to(device), is_key[:, None, None].to(device))


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, group: DecodeGroup, options: AttentionOptions
) -> Tensor:
    # Query heads that share a key head become the query dimension, so that no keys are copied.
    rows = query[group.rows.start : group.rows.stop]
    output = attend_grouped(
        rows.reshape(len(rows), len(keys), -1, rows.shape[2]),
        _gather(keys, group),
        _gather(values, group),
        group.mask,
        options,
    )
    return output.reshape(len(rows), query.shape[1], -1)


def _gather(pool: Tensor, group: DecodeGroup) -> Tensor:
    """Return the keys or values of a group, [rows, heads, longest, size].

    `index_select` copies twice as fast as indexing by a tensor.
    """
    found = pool.index_select(1, group.slots.flatten())
    return found.view(len(found), *group.slots.shape, found.shape[-1]).transpose(0, 1)
