"""AWQ checkpoints of the kind `gemm` (Lin et al., 2023): 4 bits with zero points."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import Format, Shape, expect
from worker.engine.transformers.model.quantized.int32 import unpack_last
from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix, pack_pairs

_COLUMNS = (0, 4, 1, 5, 2, 6, 3, 7)
"""Place within an int32 of each of its eight outputs."""
_LEVELS, _ZEROS, _SCALES = ".qweight", ".qzeros", ".scales"


def awq_format(settings: Mapping[str, Any]) -> Format:
    """Return the format for a `quantization_config`; raise `BadCheckpointError` for other kinds."""
    kind = str(settings.get("version") or settings.get("format") or "gemm").lower()
    bits = settings.get("bits", settings.get("w_bit", 4))
    if kind != "gemm":
        raise BadCheckpointError(f"it is quantised by AWQ as {kind!r}; only 'gemm' is read")
    if bits != 4:
        raise BadCheckpointError(f"it is quantised by AWQ in {bits} bits; only 4 are read")
    return Format(
        name="AWQ",
        target=".weight",
        levels=_LEVELS,
        required=(_ZEROS, _SCALES),
        read=_read,
        check=_check,
        shape=_shape,
        group_size=max(0, int(settings.get("group_size", settings.get("q_group_size", 0)))),
        weights_per_item=8,
    )


def _check(shapes: Mapping[str, Shape]) -> None:
    num_inputs, eighths = shapes[_LEVELS]
    num_groups = shapes[_ZEROS][0]
    expect(shapes[_ZEROS], num_groups, eighths, name="qzeros")
    expect(shapes[_SCALES], num_groups, eighths * 8, name="scales")
    if num_groups == 0 or num_inputs % num_groups or num_inputs % 2:
        raise ValueError(f"{num_inputs} inputs do not divide into {num_groups} groups")


def _shape(shapes: Mapping[str, Shape], _: Mapping[str, Tensor]) -> Shape:
    num_inputs, eighths = shapes[_LEVELS]
    return eighths * 8, num_inputs


def _read(parts: Mapping[str, Tensor]) -> QuantizedMatrix:
    levels, zeros = _unpack(parts[_LEVELS]), _unpack(parts[_ZEROS])
    return QuantizedMatrix(
        levels=pack_pairs(levels.t()),
        level_type="u4",
        scales=parts[_SCALES].t().contiguous(),
        group_size=len(levels) // len(zeros),
        zero_points=zeros.t().contiguous(),
    )


def _unpack(packed: Tensor) -> Tensor:
    """Map [rows, outputs / 8] to levels [rows, outputs]."""
    levels = unpack_last(packed, 4).view(len(packed), -1, 8)
    return levels[..., torch.tensor(_COLUMNS)].flatten(1)
