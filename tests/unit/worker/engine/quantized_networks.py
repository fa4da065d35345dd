"""Tiny networks whose weights are quantised as published checkpoints are.

Quantises in numpy, number by number as the formats are described, and shares no code with the
readers. Each function takes weights [outputs, inputs], and returns the tensors of a checkpoint by
suffix, and the weights that they stand for.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

Parts = dict[str, Tensor]
Quantize = Callable[[NDArray[Any]], tuple[Parts, NDArray[Any]]]
Array = NDArray[Any]

GROUP = 16
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def round_to_levels(weights: Array, group: Array, bits: int, *, is_symmetric: bool) -> Any:
    """Return levels [outputs, inputs], zero points and scales [outputs, groups].

    `group` is the group of each input.
    """
    most, num_groups = 2**bits - 1, int(group.max()) + 1
    levels = np.zeros(weights.shape, np.int64)
    zeros = np.zeros((len(weights), num_groups), np.int64)
    scales = np.zeros((len(weights), num_groups), np.float16)
    for output, row in enumerate(weights):
        for number in range(num_groups):
            part = row[group == number]
            low, high = min(part.min(), 0), max(part.max(), 0)
            if is_symmetric:
                high = max(high, -low)
                low = -high
            scale = np.float16((high - low) / most)
            zero = 2 ** (bits - 1) if is_symmetric else round(-low / float(scale))
            scales[output, number], zeros[output, number] = scale, zero
            rounded = np.round(part / float(scale)) + zero
            levels[output, group == number] = rounded.clip(0, most)
    return levels, zeros, scales


def expanded(levels: Array, zeros: Array, scales: Array, group: Array) -> Array:
    """Return the weights in float32."""
    wide = scales.astype(np.float32)[:, group]
    return ((levels - zeros[:, group]).astype(np.float32)) * wide


def packed(levels: Array, bits: int) -> Tensor:
    """Pack numbers along the last axis in int32, the first in the lowest bits; pad with zeros."""
    per_item = 32 // bits
    padded = np.pad(levels, [(0, 0), (0, -levels.shape[1] % per_item)])
    items = np.zeros((len(levels), padded.shape[1] // per_item), np.uint32)
    for place in range(per_item):
        items |= padded[:, place::per_item].astype(np.uint32) << np.uint32(bits * place)
    return torch.from_numpy(items.view(np.int32).copy())


def gptq(
    bits: int = 4,
    *,
    is_symmetric: bool = True,
    has_order: bool = False,
    version: int = 1,
    group_size: int = GROUP,
) -> Quantize:
    def quantize(weights: Array) -> tuple[Parts, Array]:
        num_inputs = weights.shape[1]
        group = np.arange(num_inputs) // group_size
        if has_order:
            group = np.random.default_rng(num_inputs).permutation(group)
        levels, zeros, scales = round_to_levels(weights, group, bits, is_symmetric=is_symmetric)
        stored = (zeros - (1 if version == 1 else 0)) % 2**bits
        parts = {
            "qweight": packed(levels, bits).t().contiguous(),
            "qzeros": packed(stored.T, bits),
            "scales": torch.from_numpy(scales.T.copy()),
            "g_idx": torch.from_numpy(group.astype(np.int32)),
            "bias": torch.zeros(len(weights), dtype=torch.float16),
        }
        return parts, expanded(levels, zeros, scales, group)

    return quantize


def awq(weights: Array) -> tuple[Parts, Array]:
    group = np.arange(weights.shape[1]) // GROUP
    levels, zeros, scales = round_to_levels(weights, group, 4, is_symmetric=False)

    def interleaved(numbers: Array) -> Array:
        grouped = numbers.reshape(len(numbers), -1, 8)
        return grouped[:, :, list(_AWQ_ORDER)].reshape(numbers.shape)

    parts = {
        "qweight": packed(interleaved(levels.T), 4),
        "qzeros": packed(interleaved(zeros.T), 4),
        "scales": torch.from_numpy(scales.T.copy()),
    }
    return parts, expanded(levels, zeros, scales, group)


def compressed(
    bits: int = 4, *, is_symmetric: bool = True, has_order: bool = False, group_size: int = GROUP
) -> Quantize:
    def quantize(weights: Array) -> tuple[Parts, Array]:
        num_outputs, num_inputs = weights.shape
        group = np.arange(num_inputs) // (group_size or num_inputs)
        if has_order:
            group = np.random.default_rng(num_inputs).permutation(group)
        levels, zeros, scales = round_to_levels(weights, group, bits, is_symmetric=is_symmetric)
        parts = {
            "weight_packed": packed(levels, bits),
            "weight_scale": torch.from_numpy(scales.copy()),
            "weight_shape": torch.tensor([num_outputs, num_inputs]),
        }
        if not is_symmetric:
            parts["weight_zero_point"] = packed(zeros.T, bits).t().contiguous()
        if has_order:
            parts["weight_g_idx"] = torch.from_numpy(group.astype(np.int32))
        return parts, expanded(levels, zeros, scales, group)

    return quantize


def fp8(scale_name: str, block: tuple[int, int] | None) -> Quantize:
    """Quantise blocks of [outputs, inputs]; None is all of a matrix, and 0 all inputs."""

    def quantize(weights: Array) -> tuple[Parts, Array]:
        num_outputs, num_inputs = weights.shape
        rows, columns = block or weights.shape
        columns = columns or num_inputs
        scales = np.zeros((-(-num_outputs // rows), -(-num_inputs // columns)), np.float32)
        levels = np.zeros(weights.shape, np.float32)
        for row in range(len(scales)):
            for column in range(scales.shape[1]):
                across = slice(columns * column, columns * (column + 1))
                place = slice(rows * row, rows * (row + 1)), across
                scales[row, column] = np.abs(weights[place]).max() / 448
                levels[place] = weights[place] / scales[row, column]
        stored = torch.from_numpy(levels).to(torch.float8_e4m3fn)
        wide = np.repeat(np.repeat(scales, rows, 0), columns, 1)[:num_outputs, :num_inputs]
        scale = torch.from_numpy(scales if block else scales.reshape(()))
        return {"weight": stored, scale_name: scale}, stored.float().numpy() * wide

    return quantize


def mxfp4(weights: Array) -> tuple[Parts, Array]:
    """Quantise experts [experts, inputs, outputs] in groups of 32 inputs."""
    experts = np.swapaxes(weights, 1, 2)
    grouped = experts.reshape(*experts.shape[:2], -1, 32)
    exponents = np.floor(np.log2(np.abs(grouped).max(-1))) - 2
    scaled = grouped / 2.0 ** exponents[..., None]
    numbers = np.array(_E2M1, np.float32)
    codes = np.abs(np.abs(scaled)[..., None] - numbers).argmin(-1)
    rounded = numbers[codes] * np.where(scaled < 0, -1, 1) * 2.0 ** exponents[..., None]
    codes |= (scaled < 0) << 3
    pairs = codes[..., 0::2] | codes[..., 1::2] << 4
    parts = {
        "_blocks": torch.from_numpy(pairs.astype(np.uint8)),
        "_scales": torch.from_numpy((exponents + 127).astype(np.uint8)),
    }
    full = rounded.reshape(experts.shape).astype(np.float32)
    return parts, np.ascontiguousarray(np.swapaxes(full, 1, 2))


def _compressed_tensors(kind: str, **weights: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights}
    return {
        "quant_method": "compressed-tensors",
        "format": kind,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
    }


_INT4 = _compressed_tensors(
    "pack-quantized", num_bits=4, type="int", strategy="group", group_size=GROUP
)
_FLOAT8 = _compressed_tensors("float-quantized", num_bits=8, type="float", strategy="channel")
_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True}
_FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}

KINDS: dict[str, tuple[Quantize, dict[str, Any]]] = {
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"}),
    "gptq": (gptq(), _GPTQ),
    "gptq asymmetric": (gptq(is_symmetric=False), _GPTQ | {"sym": False}),
    "gptq act-order": (
        gptq(is_symmetric=False, has_order=True),
        _GPTQ | {"desc_act": True, "sym": False},
    ),
    "gptq version 2": (
        gptq(is_symmetric=False, version=2),
        _GPTQ | {"checkpoint_format": "gptq_v2"},
    ),
    "gptq 8 bits": (gptq(8, is_symmetric=False), _GPTQ | {"bits": 8}),
    "compressed-tensors": (compressed(), _INT4),
    "compressed-tensors asymmetric": (compressed(is_symmetric=False), _INT4),
    "compressed-tensors act-order": (compressed(is_symmetric=False, has_order=True), _INT4),
    "compressed-tensors 8 bits by output": (
        compressed(8, group_size=0),
        _compressed_tensors("pack-quantized", num_bits=8, type="int", strategy="channel"),
    ),
    "fp8 blocks": (fp8("weight_scale_inv", (24, 24)), _FP8 | {"weight_block_size": [24, 24]}),
    "fp8 blocks that fit": (
        fp8("weight_scale_inv", (16, 16)),
        _FP8 | {"weight_block_size": [16, 16]},
    ),
    "fp8": (fp8("weight_scale_inv", None), _FP8),
    "compressed-tensors fp8": (fp8("weight_scale", (1, 0)), _FLOAT8),
    "compressed-tensors fp8 by matrix": (fp8("weight_scale", None), _FLOAT8),
}
"""How weights are quantised, and the `quantization_config` that says so, by name."""


def save_quantized(
    source: Path,
    folder: Path,
    quantize: Quantize,
    settings: dict[str, Any],
    *,
    is_for: Callable[[str, Tensor], bool] | None = None,
    loader: Any = AutoModelForCausalLM,
) -> Any:
    """Write a checkpoint with quantised weights; return the network with the weights in full.

    `source` is a folder with weights in full. Quantised are all linear layers but the last, or
    those that `is_for` is true for.
    """
    full = load_file(source / "model.safetensors")
    stored: dict[str, Tensor] = {}
    dequantized: dict[str, Tensor] = {}
    is_for = is_for or _is_linear
    for name, weight in full.items():
        if not is_for(name, weight):
            stored[name] = dequantized[name] = weight
            continue
        parts, rounded = quantize(weight.float().numpy())
        stem = name.removesuffix("weight")
        stored |= {stem + part: tensor.contiguous() for part, tensor in parts.items()}
        dequantized[name] = torch.from_numpy(np.ascontiguousarray(rounded))
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    plain = folder / "dequantized"
    plain.mkdir()
    (plain / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))
    save_file(dequantized, plain / "model.safetensors", {"format": "pt"})
    return loader.from_pretrained(plain, dtype=torch.float32).eval()


def _is_linear(name: str, weight: Tensor) -> bool:
    is_matrix = weight.ndim == 2 and name.endswith("weight")
    return is_matrix and not any(part in name for part in ("embed", "router", ".gate.", "lm_head"))
