"""Formats of quantised checkpoints that are read, by the `quant_method` of their configuration."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from worker.engine.transformers.model.quantized.awq import awq_format
from worker.engine.transformers.model.quantized.compressed_tensors import compressed_tensors_format
from worker.engine.transformers.model.quantized.format import Format
from worker.engine.transformers.model.quantized.fp8 import fp8_format, scaled_fp8_format
from worker.engine.transformers.model.quantized.gptq import gptq_format
from worker.engine.transformers.model.quantized.mxfp4 import mxfp4_format

FORMATS: dict[str, Callable[[Mapping[str, Any]], Format]] = {
    "awq": awq_format,
    "compressed-tensors": partial(compressed_tensors_format, scaled_fp8_format),
    "fp8": fp8_format,
    "gptq": gptq_format,
    "mxfp4": mxfp4_format,
}
"""Each makes a format from `quantization_config`, or raises `BadCheckpointError` for a kind of it
that is not read."""

_KEYS = ("quantization_config", "compression_config")
"""Keys of config.json; the second is of older compressed-tensors."""


def folder_format(folder: Path) -> Format | None:
    """Return the format of the weights in a folder; None also if it has no config.json."""
    file = folder / "config.json"
    return find_format(json.loads(file.read_bytes())) if file.is_file() else None


def find_format(config: Mapping[str, Any]) -> Format | None:
    """Return the format of the weights of a config.json; None if they are not in one of these.

    Raises `BadCheckpointError` for a kind of a format that is not read.
    """
    settings = quantization_settings(config)
    make = FORMATS.get(str(settings.get("quant_method")))
    return None if make is None else make(settings)


def quantization_settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings in config.json, or in the part of it for the language model."""
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in _KEYS:
            if isinstance(part.get(key), dict):
                found: dict[str, Any] = part[key]
                return found
    return {}
