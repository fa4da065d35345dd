"""Quantised matrices in memory, in one form for every format of a checkpoint.

A weight is `(level - zero point) * scale`, computed in float32 and rounded once to the type of the
computation. A scale and a zero point belong to each group of consecutive inputs of an output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

LevelType = Literal["u4", "u8", "f4e2m1", "f8e4m3", "f8e5m2"]
"""Types of levels. Those of 4 bits are stored in pairs, the first in the lower half of a byte."""

BITS: dict[LevelType, int] = {"u4": 4, "u8": 8, "f4e2m1": 4, "f8e4m3": 8, "f8e5m2": 8}

_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Numbers of the type f4e2m1 by code; the codes above 7 are their negatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedMatrix:
    """Matrix [outputs, inputs], or several of equal shape, one for each expert, in a first axis."""

    levels: Tensor
    """[…, outputs, bytes of the inputs]: uint8, or one of torch's 8-bit floating-point types."""
    level_type: LevelType
    scales: Tensor
    """[…, outputs, groups] of any floating-point type."""
    group_size: int
    """Inputs of a group. The last group may be smaller."""
    zero_points: Tensor | None = None
    """[…, outputs, groups], uint8; None if all groups have `zero_point`."""
    zero_point: int = 0
    order: Tensor | None = None
    """[inputs]: the input that belongs to each column of the levels; None if they are in order."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the weights."""
        inputs = self.levels.shape[-1] * (8 // BITS[self.level_type])
        return torch.Size([*self.levels.shape[:-1], inputs])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """Return the weights in the order of the inputs."""
        columns = self.dequantize_columns(dtype)
        if self.order is None:
            return columns
        return torch.empty_like(columns).index_copy_(-1, self.order, columns)

    def dequantize_columns(self, dtype: torch.dtype) -> Tensor:
        """Return the weights in the order of the levels."""
        levels = _to_float32(self.levels, self.level_type)
        scales = self.scales.float()
        zeros = None if self.zero_points is None else self.zero_points.float()
        num_inputs, num_groups = levels.shape[-1], scales.shape[-1]
        if num_inputs == num_groups * self.group_size:
            grouped = levels.view(*scales.shape, self.group_size)
            scales, zeros = scales[..., None], None if zeros is None else zeros[..., None]
        else:
            grouped = levels
            group = torch.arange(num_inputs, device=levels.device) // self.group_size
            scales, zeros = scales[..., group], None if zeros is None else zeros[..., group]
        if zeros is not None:
            grouped.sub_(zeros)
        elif self.zero_point:
            grouped.sub_(self.zero_point)
        return grouped.mul_(scales).view(levels.shape).to(dtype)

    def rows(self, index: int | slice) -> "QuantizedMatrix":
        """Return some outputs of a matrix, or one matrix of several."""
        return self._map(lambda tensor: tensor[index])

    def to(self, device: torch.device) -> "QuantizedMatrix":
        """Return the matrix on a device."""
        moved = self._map(lambda tensor: tensor.to(device))
        return replace(moved, order=None if self.order is None else self.order.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> "QuantizedMatrix":
        """Return the matrix with its levels, scales and zero points changed."""
        changed: dict[str, Any] = {name: change(part) for name, part in self._tensors().items()}
        return replace(self, **changed | {"order": self.order})

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def combine(
    matrices: Sequence[QuantizedMatrix], join: Callable[[list[Tensor]], Tensor]
) -> QuantizedMatrix | None:
    """Join the levels, scales and zero points of matrices; None if they are not of one kind."""
    first = matrices[0]
    kinds = {(m.level_type, m.group_size, m.zero_point, m.zero_points is None) for m in matrices}
    if len(kinds) > 1 or any(matrix.order is not None for matrix in matrices):
        return None
    zeros = [matrix.zero_points for matrix in matrices if matrix.zero_points is not None]
    return replace(
        first,
        levels=join([matrix.levels for matrix in matrices]),
        scales=join([matrix.scales for matrix in matrices]),
        zero_points=join(zeros) if zeros else None,
    )


def pack_pairs(levels: Tensor) -> Tensor:
    """Pack levels of 4 bits […, inputs] in bytes […, inputs / 2]."""
    return levels[..., 0::2] | levels[..., 1::2] << 4


def unpack_pairs(pairs: Tensor) -> Tensor:
    """Unpack bytes […, inputs / 2] to levels […, inputs]."""
    return torch.stack([pairs & 15, pairs >> 4], dim=-1).flatten(-2)


def _to_float32(levels: Tensor, level_type: LevelType) -> Tensor:
    if level_type == "u4":
        return unpack_pairs(levels).float()
    if level_type == "f4e2m1":
        numbers = torch.tensor([*_E2M1, *(-number for number in _E2M1)], device=levels.device)
        return numbers[unpack_pairs(levels).int()]
    # A copy even of float32, as the caller changes it.
    return levels.to(torch.float32, copy=True)
