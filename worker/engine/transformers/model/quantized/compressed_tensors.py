"""Checkpoints of compressed-tensors (llm-compressor): 4 or 8 bits in groups, and FP8.

Activations are computed in the type of the computation, whatever the checkpoint says of them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import (
    SCALES_OF_ACTIVATIONS,
    Format,
    Shape,
    expect,
)
from worker.engine.transformers.model.quantized.int32 import (
    LEVEL_TYPES,
    group_order,
    reorder,
    unpack_last,
)
from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix

_FLOATS = frozenset({"float-quantized", "naive-quantized"})
_LEVELS, _SCALES, _SHAPE = ".weight_packed", ".weight_scale", ".weight_shape"
_ZEROS, _GROUPS = ".weight_zero_point", ".weight_g_idx"


def compressed_tensors_format(
    make_fp8: Callable[[Any], Format], settings: Mapping[str, Any]
) -> Format:
    """Return the format for a `quantization_config`; raise `BadCheckpointError` for other kinds.

    `make_fp8` makes the format of FP8 with blocks of some size.
    """
    _refuse_transforms(settings)
    groups = list(_weight_settings(settings))
    formats = {str(group.get("format") or settings.get("format")) for group in groups}
    types = {(weights.get("type"), weights.get("num_bits")) for weights in _weights(groups)}
    if formats == {"pack-quantized"} and types <= {("int", bits) for bits in LEVEL_TYPES}:
        return Format(
            name="compressed-tensors",
            target=".weight",
            levels=_LEVELS,
            required=(_SCALES, _SHAPE),
            optional=(_ZEROS, _GROUPS),
            ignored=SCALES_OF_ACTIVATIONS,
            read=_read,
            check=_check,
            shape=_read_shape,
            small=(_SHAPE,),
            group_size=min(
                max(0, int(weights.get("group_size") or 0)) for weights in _weights(groups)
            ),
            weights_per_item=32 // min(int(weights["num_bits"]) for weights in _weights(groups)),
        )
    if formats <= _FLOATS and types == {("float", 8)}:
        blocks = [weights.get("block_structure") for weights in _weights(groups)]
        return make_fp8(blocks[0])
    found = ", ".join(sorted(f"{kind}{bits}" for kind, bits in types))
    raise BadCheckpointError(
        f"it is quantised by compressed-tensors as {'/'.join(sorted(formats))} ({found}); "
        "read are pack-quantized weights of 4 or 8 bits, and FP8"
    )


def _refuse_transforms(settings: Mapping[str, Any]) -> None:
    sparsity = (settings.get("sparsity_config") or {}).get("format", "dense")
    if sparsity != "dense":
        raise BadCheckpointError(f"its weights are sparse ({sparsity}), which is not read")
    if (settings.get("transform_config") or {}).get("config_groups"):
        raise BadCheckpointError("its weights are rotated (transform_config), which is not read")


def _weight_settings(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    groups = settings.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        raise BadCheckpointError("its quantization_config has no config_groups")
    yield from groups.values()


def _weights(groups: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for group in groups:
        weights = group.get("weights")
        if not weights:
            raise BadCheckpointError("a group of its quantization_config has no weights")
        yield weights


def _check(shapes: Mapping[str, Shape]) -> None:
    num_outputs, _ = shapes[_LEVELS]
    num_groups = shapes[_SCALES][-1]
    expect(shapes[_SCALES], num_outputs, num_groups, name="weight_scale")
    expect(shapes[_SHAPE], 2, name="weight_shape")
    if _ZEROS in shapes and shapes[_ZEROS][-1] != num_groups:
        raise ValueError(f"weight_zero_point has not {num_groups} groups")


def _read_shape(_: Mapping[str, Shape], small: Mapping[str, Tensor]) -> Shape:
    return tuple(small[_SHAPE].tolist())


def _read(parts: Mapping[str, Tensor]) -> QuantizedMatrix:
    num_outputs, num_inputs = parts[_SHAPE].tolist()
    packed, scales = parts[_LEVELS], parts[_SCALES]
    bits = next((bits for bits in LEVEL_TYPES if packed.shape[1] == -(-num_inputs * bits // 32)), 0)
    if not bits or len(packed) != num_outputs or num_inputs % 2:
        raise ValueError(f"{list(packed.shape)} is no packing of {[num_outputs, num_inputs]}")
    levels = packed.contiguous().view(torch.uint8)[:, : num_inputs * bits // 8]
    if num_inputs % scales.shape[1]:
        raise ValueError(f"{num_inputs} inputs do not divide into {scales.shape[1]} groups")
    group_size = num_inputs // scales.shape[1]
    order = None
    if _GROUPS in parts and (parts[_GROUPS] >= 0).all():
        order = group_order(parts[_GROUPS], group_size)
    return QuantizedMatrix(
        levels=levels if order is None else reorder(levels, order, bits),
        level_type=LEVEL_TYPES[bits],
        scales=scales,
        group_size=group_size,
        zero_points=_zero_points(parts, bits),
        zero_point=2 ** (bits - 1),
        order=order,
    )


def _zero_points(parts: Mapping[str, Tensor], bits: int) -> Tensor | None:
    """Return zero points [outputs, groups] of levels from 0 on; stored ones may be below 0."""
    num_outputs = len(parts[_LEVELS])
    if _ZEROS not in parts:
        return None
    stored = parts[_ZEROS]
    if stored.dtype != torch.int32 or len(stored) == num_outputs:
        shifted: Tensor = stored.int() + 2 ** (bits - 1)
        return shifted.to(torch.uint8)
    zeros: Tensor = unpack_last(stored.t(), bits)[:, :num_outputs].t()
    return zeros.contiguous()
