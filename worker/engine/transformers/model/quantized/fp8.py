"""FP8 weights, with a scale for each block, output or matrix.

Scales of activations are ignored: activations are computed in the type of the computation.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import (
    SCALES_OF_ACTIVATIONS,
    Format,
    Shape,
)
from worker.engine.transformers.model.quantized.matrix import LevelType, QuantizedMatrix

_LEVEL_TYPES: dict[torch.dtype, LevelType] = {
    torch.float8_e4m3fn: "f8e4m3",
    torch.float8_e5m2: "f8e5m2",
}

Block = tuple[int, int]
"""Outputs and inputs that share a scale."""


def fp8_format(settings: Mapping[str, Any]) -> Format:
    """Return the format for a `quantization_config` of DeepSeek's kind."""
    return _format("FP8", "_scale_inv", settings.get("weight_block_size"))


def scaled_fp8_format(block: Any) -> Format:
    """Return the format of weights `x.weight` with scales `x.weight_scale`.

    `block` is [outputs, inputs] that share a scale, or None.
    """
    return _format("FP8", "_scale", block)


def _format(name: str, scales: str, block: Any) -> Format:
    if isinstance(block, str):  # older compressed-tensors: "128x128"
        block = [int(size) for size in block.split("x") if size.isdigit()]
    if block is not None and not (isinstance(block, list) and len(block) == 2 and all(block)):
        raise BadCheckpointError(f"its FP8 weights have blocks of {block}; they must be [n, m]")
    size = None if block is None else (int(block[0]), int(block[1]))
    return Format(
        name=name,
        target="",
        levels="",
        required=(scales,),
        read=partial(_read, scales_name=scales, block=size),
        check=partial(_check, scales_name=scales, block=size),
        shape=_shape,
        ignored=SCALES_OF_ACTIVATIONS,
        conversion="full",
        types=frozenset({"F8_E4M3", "F8_E5M2"}),
    )


def _check(shapes: Mapping[str, Shape], *, scales_name: str, block: Block | None) -> None:
    _blocks(shapes[""], shapes[scales_name], block)


def _shape(shapes: Mapping[str, Shape], _: Mapping[str, Tensor]) -> Shape:
    return shapes[""]


def _blocks(weights: Shape, scales: Shape, block: Block | None) -> Block:
    """Return the size of the blocks that share a scale; raise `ValueError` for other scales."""
    *others, num_outputs, num_inputs = weights
    if block is not None and scales == (*others, *_num_blocks(weights, block)):
        return block
    if scales in ((*others, num_outputs, 1), (*others, num_outputs)):
        return 1, num_inputs
    if scales in ((*others, 1, 1), tuple(others), (*others, 1)):
        return num_outputs, num_inputs
    raise ValueError(f"it has scales of shape {list(scales)} for {list(weights)}")


def _num_blocks(weights: Sequence[int], block: Block) -> Block:
    return -(-weights[-2] // block[0]), -(-weights[-1] // block[1])


def _read(parts: Mapping[str, Tensor], *, scales_name: str, block: Block | None) -> QuantizedMatrix:
    levels, scales = parts[""], parts[scales_name]
    rows, columns = _blocks(tuple(levels.shape), tuple(scales.shape), block)
    num_outputs = levels.shape[-2]
    if scales.dtype == torch.uint8:  # exponents of 2
        scales = scales.view(torch.float8_e8m0fnu)
    grid = scales.float().reshape(*levels.shape[:-2], *_num_blocks(levels.shape, (rows, columns)))
    return QuantizedMatrix(
        levels=levels,
        level_type=_LEVEL_TYPES[levels.dtype],
        scales=grid.repeat_interleave(rows, dim=-2)[..., :num_outputs, :],
        group_size=columns,
    )
