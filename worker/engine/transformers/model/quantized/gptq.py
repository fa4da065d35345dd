"""GPTQ checkpoints (Frantar et al., 2022), as AutoGPTQ and GPTQModel write them.

With act-order (`desc_act`), the inputs of a group are not consecutive: `g_idx` has each one's.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import Format, Shape, expect
from worker.engine.transformers.model.quantized.int32 import (
    LEVEL_TYPES,
    bytes_of_first,
    group_order,
    reorder,
    unpack_last,
)
from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix

_ZERO_OFFSETS = {"gptq": 1, "gptq_v2": 0}
"""What is added to stored zero points, by value of `checkpoint_format`."""
_LEVELS, _ZEROS, _SCALES, _GROUPS = ".qweight", ".qzeros", ".scales", ".g_idx"


def gptq_format(settings: Mapping[str, Any]) -> Format:
    """Return the format for a `quantization_config`; raise `BadCheckpointError` for other kinds."""
    bits = settings.get("bits")
    if bits not in LEVEL_TYPES:
        raise BadCheckpointError(f"it is quantised by GPTQ in {bits} bits; 4 and 8 are read")
    kind = str(settings.get("checkpoint_format") or "gptq").lower()
    if settings.get("is_marlin_format"):
        kind = "marlin"
    if kind not in _ZERO_OFFSETS:
        raise BadCheckpointError(
            f"it is quantised by GPTQ in the format {kind!r}; only 'gptq' and 'gptq_v2' are read"
        )
    if any("bits" in (rule or {}) for rule in (settings.get("dynamic") or {}).values()):
        raise BadCheckpointError("it is quantised by GPTQ in different numbers of bits (dynamic)")
    return Format(
        name="GPTQ",
        target=".weight",
        levels=_LEVELS,
        required=(_ZEROS, _SCALES),
        optional=(_GROUPS,),
        read=partial(_read, bits=bits, offset=_ZERO_OFFSETS[kind]),
        check=partial(_check, bits=bits),
        shape=partial(_shape, bits=bits),
        group_size=max(0, int(settings.get("group_size") or 0)),
        weights_per_item=32 // bits,
    )


def _check(shapes: Mapping[str, Shape], *, bits: int) -> None:
    per_item = 32 // bits
    rows, num_outputs = shapes[_LEVELS]
    num_inputs, num_groups = rows * per_item, shapes[_SCALES][0]
    expect(shapes[_SCALES], num_groups, num_outputs, name="scales")
    expect(shapes[_ZEROS], num_groups, num_outputs // per_item, name="qzeros")
    if _GROUPS in shapes:
        expect(shapes[_GROUPS], num_inputs, name="g_idx")
    if num_groups == 0 or num_inputs % num_groups:
        raise ValueError(f"{num_inputs} inputs do not divide into {num_groups} groups")


def _shape(shapes: Mapping[str, Shape], _: Mapping[str, Tensor], *, bits: int) -> Shape:
    rows, num_outputs = shapes[_LEVELS]
    return num_outputs, rows * 32 // bits


def _read(parts: Mapping[str, Tensor], *, bits: int, offset: int) -> QuantizedMatrix:
    levels = bytes_of_first(parts[_LEVELS])
    num_inputs, num_groups = levels.shape[1] * 8 // bits, len(parts[_SCALES])
    group_size = num_inputs // num_groups
    order = None if _GROUPS not in parts else group_order(parts[_GROUPS], group_size)
    # Stored less one; with one added, the highest level is the zero point 0 again.
    zeros = unpack_last(parts[_ZEROS], bits).add(offset).bitwise_and_(2**bits - 1)
    return QuantizedMatrix(
        levels=levels if order is None else reorder(levels, order, bits),
        level_type=LEVEL_TYPES[bits],
        scales=parts[_SCALES].t().contiguous(),
        group_size=group_size,
        zero_points=zeros.t().contiguous(),
        order=order,
    )
