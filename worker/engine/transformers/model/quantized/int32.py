"""Levels of 4 or 8 bits that are packed in tensors of int32, the lowest bits first."""

import torch
from torch import Tensor

from worker.engine.transformers.model.quantized.matrix import LevelType, pack_pairs, unpack_pairs

LEVEL_TYPES: dict[int, LevelType] = {4: "u4", 8: "u8"}
"""Types of levels by number of bits."""


def unpack_last(packed: Tensor, bits: int) -> Tensor:
    """Return the levels packed along the last axis, as uint8."""
    levels = packed.contiguous().view(torch.uint8)
    return unpack_pairs(levels) if bits == 4 else levels


def bytes_of_first(packed: Tensor) -> Tensor:
    """Map [inputs / n, outputs], packed along the inputs, to bytes [outputs, bytes of inputs].

    Bytes have the lowest bits first, too, so that pairs of 4 bits stay as they are.
    """
    rows, num_outputs = packed.shape
    levels = packed.contiguous().view(torch.uint8).view(rows, num_outputs, 4)
    return levels.permute(1, 0, 2).reshape(num_outputs, rows * 4)


def reorder(levels: Tensor, order: Tensor, bits: int) -> Tensor:
    """Return levels […, bytes of inputs] with the inputs in another order."""
    if bits == 8:
        return levels.index_select(-1, order)
    return pack_pairs(unpack_pairs(levels).index_select(-1, order))


def group_order(groups: Tensor, group_size: int) -> Tensor | None:
    """Return the order in which the inputs of each group are consecutive; None if they are.

    Raises `ValueError` for groups of different sizes.
    """
    in_order = torch.arange(len(groups)) // group_size
    if torch.equal(groups.long(), in_order):
        return None
    order = torch.argsort(groups, stable=True)
    if not torch.equal(groups[order].long(), in_order):
        raise ValueError(f"the inputs do not divide into groups of {group_size}")
    return order
