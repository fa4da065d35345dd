"""Kinds of weights, with random levels: for each the tensors of a checkpoint that store a matrix.

The levels are drawn as they are stored, which is far quicker than to quantise. Scales are such that
the weights are small, and so stay the activations of a deep network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from worker.engine.transformers.device import has_native_bfloat16

Parts = dict[str, Tensor]
Make = Callable[[tuple[int, ...]], Parts]
"""Makes tensors by suffix for a weight of some shape, [outputs, inputs] unless it is of experts."""

GROUP = 128
_MXFP4_GROUP = 32
_BLOCK = 128
_STANDARD_DEVIATION = 0.02
_SCALE = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to store the weights of a network."""

    name: str
    make: Make
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The `quantization_config`; empty if weights are not quantised."""
    dtype: torch.dtype = torch.bfloat16
    """Type of the weights that are not quantised."""
    is_gpt_oss: bool = False
    """True if the network is gpt-oss, whose experts are quantised; else it is a Llama."""

    def types(self, forward: str) -> list[str]:
        """Return the types in which a forward pass computes such weights."""
        if forward == "torch":
            if not self.settings:
                return ["float32", "bfloat16", "int8"]
            # Without instructions for it, bfloat16 takes minutes.
            return ["float32", "bfloat16"] if has_native_bfloat16() else ["float32"]
        if self.settings and "FP8" not in self.name:
            return ["auto", "bfloat16"]
        return ["float32", "bfloat16", "int8", "int4"]


def plain(shape: tuple[int, ...], *, dtype: torch.dtype) -> Parts:
    """Make weights in full."""
    return {"weight": torch.randn(shape).mul_(_STANDARD_DEVIATION).to(dtype)}


def compressed(
    shape: tuple[int, ...], *, has_zeros: bool = False, has_order: bool = False
) -> Parts:
    """Make what compressed-tensors stores in its format pack-quantized."""
    num_outputs, num_inputs = shape
    parts = {
        "weight_packed": _packed(num_outputs, num_inputs // 8),
        "weight_scale": _scales(num_outputs, num_inputs // GROUP, torch.bfloat16),
        "weight_shape": torch.tensor(shape),
    }
    if has_zeros:
        parts["weight_zero_point"] = _packed(num_outputs // 8, num_inputs // GROUP)
    if has_order:
        parts["weight_g_idx"] = _shuffled_groups(num_inputs)
    return parts


def awq(shape: tuple[int, ...]) -> Parts:
    """Make what AWQ stores, of the kind `gemm`."""
    num_outputs, num_inputs = shape
    return {
        "qweight": _packed(num_inputs, num_outputs // 8),
        "qzeros": _packed(num_inputs // GROUP, num_outputs // 8),
        "scales": _scales(num_inputs // GROUP, num_outputs, torch.float16),
    }


def gptq(shape: tuple[int, ...], *, is_symmetric: bool = True, has_order: bool = False) -> Parts:
    """Make what GPTQ stores."""
    num_outputs, num_inputs = shape
    num_groups = num_inputs // GROUP
    zeros = _packed(num_groups, num_outputs // 8)
    if is_symmetric:  # the middle, of which one less is stored
        zeros.fill_(0x77777777)
    order = torch.arange(num_inputs, dtype=torch.int32) // GROUP
    return {
        "qweight": _packed(num_inputs // 8, num_outputs),
        "qzeros": zeros,
        "scales": _scales(num_groups, num_outputs, torch.float16),
        "g_idx": _shuffled_groups(num_inputs) if has_order else order,
    }


def fp8(shape: tuple[int, ...], *, scale_name: str, block: tuple[int, int]) -> Parts:
    """Make FP8 with a scale for each block of [outputs, inputs]; a block of no inputs has all."""
    num_outputs, num_inputs = shape
    rows, columns = block
    num_scales = -(-num_outputs // rows), -(-num_inputs // (columns or num_inputs))
    # Of the exponents some in the middle: neither NaN nor far apart.
    levels = torch.randint(0x30, 0x48, shape, dtype=torch.uint8)
    levels ^= torch.randint(0, 2, shape, dtype=torch.uint8) << 7
    stored = levels.view(torch.float8_e4m3fn)
    return {"weight": stored, scale_name: torch.full(num_scales, 0.01)}


def mxfp4(shape: tuple[int, ...]) -> Parts:
    """Make what gpt-oss stores of experts, whose weights are [experts, inputs, outputs]."""
    num_experts, num_inputs, num_outputs = shape
    groups = num_experts, num_outputs, num_inputs // _MXFP4_GROUP
    return {
        "_blocks": torch.randint(0, 256, (*groups, _MXFP4_GROUP // 2), dtype=torch.uint8),
        "_scales": torch.randint(118, 121, groups, dtype=torch.uint8),  # exponents less 127
    }


def _packed(rows: int, columns: int) -> Tensor:
    return torch.randint(-(2**31), 2**31 - 1, (rows, columns), dtype=torch.int32)


def _scales(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    return torch.full((rows, columns), _SCALE, dtype=dtype)


def _shuffled_groups(num_inputs: int) -> Tensor:
    return (torch.arange(num_inputs, dtype=torch.int32) // GROUP)[torch.randperm(num_inputs)]


def _compressed_tensors(kind: str, **weights: Any) -> dict[str, Any]:
    return {
        "quant_method": "compressed-tensors",
        "format": kind,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ["lm_head"],
    }


_W4A16 = _compressed_tensors(
    "pack-quantized", num_bits=4, type="int", strategy="group", group_size=GROUP
)
_FLOAT8 = _compressed_tensors("float-quantized", num_bits=8, type="float", strategy="channel")
_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": GROUP}
_FP8 = {"quant_method": "fp8", "weight_block_size": [_BLOCK, _BLOCK]}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"}

_ALL = (
    Kind(name="bfloat16", make=partial(plain, dtype=torch.bfloat16)),
    Kind(name="float32", make=partial(plain, dtype=torch.float32), dtype=torch.float32),
    Kind(name="W4A16", make=compressed, settings=_W4A16),
    Kind(name="W4A16 asymmetric", make=partial(compressed, has_zeros=True), settings=_W4A16),
    Kind(
        name="W4A16 act-order",
        make=partial(compressed, has_zeros=True, has_order=True),
        settings=_W4A16,
    ),
    Kind(name="AWQ", make=awq, settings=_AWQ),
    Kind(name="GPTQ", make=gptq, settings=_GPTQ),
    Kind(name="GPTQ asymmetric", make=partial(gptq, is_symmetric=False), settings=_GPTQ),
    Kind(
        name="GPTQ act-order",
        make=partial(gptq, is_symmetric=False, has_order=True),
        settings=_GPTQ | {"desc_act": True},
    ),
    Kind(
        name="MXFP4 gpt-oss",
        make=mxfp4,
        settings={"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
        is_gpt_oss=True,
    ),
    Kind(
        name="FP8 in blocks",
        make=partial(fp8, scale_name="weight_scale_inv", block=(_BLOCK, _BLOCK)),
        settings=_FP8,
    ),
    Kind(
        name="FP8 by output",
        make=partial(fp8, scale_name="weight_scale", block=(1, 0)),
        settings=_FLOAT8,
    ),
)
KINDS = {kind.name: kind for kind in _ALL}
