"""MXFP4 experts of gpt-oss: numbers of 4 bits, with a power of two for each 32 of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from worker.engine.transformers.model.quantized.format import Format, Shape, expect
from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix

_GROUP_SIZE = 32
_LEVELS, _SCALES = "_blocks", "_scales"


def mxfp4_format(settings: Mapping[str, Any]) -> Format:
    """Return the format for a `quantization_config`."""
    del settings  # has only the names of modules that are not quantised
    return Format(
        name="MXFP4",
        target="",
        levels=_LEVELS,
        required=(_SCALES,),
        read=_read,
        check=_check,
        shape=_shape,
        types=frozenset({"U8"}),
        group_size=_GROUP_SIZE,
        weights_per_item=2,
        conversion="int8",
        is_transposed=True,
    )


def _check(shapes: Mapping[str, Shape]) -> None:
    *others, num_bytes = shapes[_LEVELS]
    expect(shapes[_SCALES], *others, name="scales")
    if num_bytes * 2 != _GROUP_SIZE or len(others) != 3:
        raise ValueError(f"it has blocks of shape {list(shapes[_LEVELS])}")


def _shape(shapes: Mapping[str, Shape], _: Mapping[str, Tensor]) -> Shape:
    experts, num_outputs, num_groups, _bytes = shapes[_LEVELS]
    return experts, num_groups * _GROUP_SIZE, num_outputs


def _read(parts: Mapping[str, Tensor]) -> QuantizedMatrix:
    return QuantizedMatrix(
        levels=parts[_LEVELS].flatten(-2),
        level_type="f4e2m1",
        scales=parts[_SCALES].view(torch.float8_e8m0fnu),
        group_size=_GROUP_SIZE,
    )
