"""Ways in which checkpoints store weights in fewer bits, and what the engine does with each.

A row of `QUANTIZATIONS` is all that decides if one is served: change its `support` where code is
added that reads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

Support = Literal["packed", "dequantised", "computed", ""]
"""Kept as stored, converted to full weights at load, computed by transformers, or refused."""

KEYS = ("quantization_config", "quantization", "compression_config")
"""Keys of config.json; the second is of MLX, the third of older compressed-tensors."""
FOREIGN_FILES = {
    "hf_quant_config.json": "modelopt",
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
}
"""Files of quantisers that leave config.json as it was, and the method that each stands for."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """A format of quantised weights."""

    method: str
    """Value of `quant_method` in config.json."""
    name: str
    support: Support = ""
    variant: str = "*"
    """Pattern of its variants (`variant_of`); the first row that fits is that of a checkpoint."""


QUANTIZATIONS = (
    Quantization("fp8", "FP8", "dequantised"),
    Quantization("mxfp4", "MXFP4", "packed"),
    Quantization("bitnet", "BitNet", "computed"),
    Quantization("gptq", "GPTQ", "packed"),
    Quantization("awq", "AWQ", "packed"),
    Quantization("compressed-tensors", "compressed-tensors W4A16", "packed", "pack-quantized"),
    Quantization("compressed-tensors", "compressed-tensors FP8", "dequantised", "float-quantized"),
    Quantization("compressed-tensors", "compressed-tensors FP8", "dequantised", "naive-quantized"),
    Quantization("compressed-tensors", "compressed-tensors INT8", variant="int-quantized"),
    Quantization("compressed-tensors", "compressed-tensors NVFP4", variant="nvfp4*"),
    Quantization("compressed-tensors", "compressed-tensors MXFP4", variant="mxfp4*"),
    Quantization("compressed-tensors", "compressed-tensors, sparse", variant="*marlin*"),
    Quantization("compressed-tensors", "compressed-tensors"),
    Quantization("modelopt", "ModelOpt FP8", variant="FP8*"),
    Quantization("modelopt", "ModelOpt NVFP4", variant="*NVFP4*"),
    Quantization("modelopt", "ModelOpt"),
    Quantization("modelopt_fp4", "ModelOpt NVFP4"),
    Quantization("nvfp4", "NVFP4"),
    Quantization("mxfp8", "MXFP8"),
    Quantization("fbgemm_fp8", "FBGEMM FP8"),
    Quantization("bitsandbytes", "bitsandbytes"),
    Quantization("torchao", "torchao"),
    Quantization("auto-round", "AutoRound"),
    Quantization("intel/auto-round", "AutoRound"),
    Quantization("hqq", "HQQ"),
    Quantization("quanto", "quanto"),
    Quantization("quark", "Quark"),
    Quantization("exl2", "EXL2"),
    Quantization("exl3", "EXL3"),
    Quantization("mlx", "MLX"),
    Quantization("metal", "Metal"),
    Quantization("aqlm", "AQLM"),
    Quantization("vptq", "VPTQ"),
    Quantization("spqr", "SpQR"),
    Quantization("higgs", "HIGGS"),
    Quantization("eetq", "EETQ"),
    Quantization("fp_quant", "FP-Quant"),
    Quantization("fouroversix", "Four Over Six"),
    Quantization("sinq", "SINQ"),
    Quantization("gemma", "quantisation of Gemma"),
)


def find_quantization(config: Mapping[str, Any], files: Mapping[str, Any]) -> Quantization | None:
    """Return how a checkpoint is quantised, None if it is not; unknown methods are a row, too.

    `config` is the content of config.json, `files` the contents of those of `FOREIGN_FILES` that
    the checkpoint has. config.json comes first: most quantisers write the same to both.
    """
    for part in _parts(config):
        for key in KEYS:
            if isinstance(section := part.get(key), dict):
                return _find_row(_method_of(key, section), variant_of(section))
    for name, section in files.items():
        return _find_row(FOREIGN_FILES[name], variant_of(section))
    return None


def variant_of(section: Mapping[str, Any]) -> str:
    """Return what tells variants of a method apart: its format, algorithm or number of bits."""
    nested = section.get("quantization")
    section = {**section, **nested} if isinstance(nested, dict) else section
    for name in ("format", "quant_algo", "packing_format", "weights", "quant_type"):
        if isinstance(value := section.get(name), str):
            return value
    bits = section.get("bits", section.get("w_bit"))
    return "" if bits is None else f"{bits} bits"


def supported_names() -> str:
    """Return the names of all quantisations that are served."""
    return ", ".join(sorted({row.name for row in QUANTIZATIONS if row.support}))


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the configuration, then those nested in it, such as that of the language model."""
    yield config
    yield from (value for value in config.values() if isinstance(value, dict))


def _method_of(key: str, section: Mapping[str, Any]) -> str:
    unnamed = "mlx" if key == "quantization" else "compressed-tensors"
    if key == "quantization_config":
        unnamed = "modelopt" if "quant_algo" in section else "of an unknown kind"
    method = str(section.get("quant_method", unnamed)).lower()
    return "bitsandbytes" if method.startswith("bitsandbytes") else method


def _find_row(method: str, variant: str) -> Quantization:
    for row in QUANTIZATIONS:
        if row.method == method and fnmatch(variant, row.variant):
            return row
    return Quantization(method, method)
