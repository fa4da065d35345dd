"""Checks that a folder of weights is a whole checkpoint in a format that is read here.

transformers fills tensors that a checkpoint lacks with random numbers, and leaves out those that it
has no place for: a folder in a foreign format, or one with a file missing, would load as noise.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.memory import safetensors_header

QUANTIZATIONS = frozenset({"fp8", "mxfp4", "bitnet"})
"""Values of `quant_method` whose weights transformers dequantises or computes with."""

_FOREIGN_FILES = {
    "adapter_config.json": "a LoRA adapter, not a whole model: merge it into its base model first",
    "hf_quant_config.json": "quantised by ModelOpt, a format that is not read",
    "quantize_config.json": "quantised by GPTQ or AWQ, a format that is not read",
    "quant_config.json": "quantised by AWQ or HQQ, a format that is not read",
}
_QUANTIZATION_KEYS = ("quantization_config", "quantization", "compression_config")
"""Keys of config.json; the second is of MLX, the third of older compressed-tensors."""
_PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16", "BOOL"})
_NUM_NAMED = 3
# Buffers that older checkpoints contain and networks compute by themselves.
_COMPUTED_BUFFERS = ("inv_freq", "masked_bias", "attn.bias", "position_ids", "causal_mask")


def check_folder(folder: Path) -> None:
    """Raise `BadCheckpointError` unless the folder is a whole checkpoint in a known format.

    Reads configuration and the headers of the safetensors files, no weights.
    """
    for name, reason in _FOREIGN_FILES.items():
        if (folder / name).is_file():
            raise BadCheckpointError(f"it is {reason} ({name})")
    quantization = _quantization(_read_json(folder / "config.json"))
    if quantization is not None and quantization not in QUANTIZATIONS:
        raise BadCheckpointError(
            f"it is quantised by {quantization!r}, a format that is not read "
            f"(read are {', '.join(sorted(QUANTIZATIONS))}, and weights that are not quantised)"
        )
    _check_files(folder)
    kinds = _quantised_types(folder)
    if kinds and quantization is None:
        found = ", ".join(f"{number} of {kind}" for kind, number in kinds.most_common())
        raise BadCheckpointError(
            f"it has tensors of quantised types ({found}), and its config.json no "
            "quantization_config that says how to read them"
        )


def check_loaded(report: Mapping[str, Any], parameters: Collection[str]) -> None:
    """Raise `BadCheckpointError` unless every tensor was read, and each found its place.

    `report` is the loading information of transformers; `parameters` are the names of the network's
    tensors. Tensors of parts that the network does not have, such as a vision part, are ignored.
    """
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadCheckpointError(f"the checkpoint lacks {_name_some(missing)}")
    modules = {name.rpartition(".")[0] for name in parameters}
    surplus = [
        name
        for name in sorted(report["unexpected_keys"])
        if name.rpartition(".")[0] in modules and not name.endswith(_COMPUTED_BUFFERS)
    ]
    if surplus:
        raise BadCheckpointError(f"the network has no place for {_name_some(surplus)}")
    if report.get("mismatched_keys"):
        names = sorted(str(key) for key in report["mismatched_keys"])
        raise BadCheckpointError(f"the shapes differ of {_name_some(names)}")


def _check_files(folder: Path) -> None:
    """Raise `BadCheckpointError` if a file that the index names is missing, or there is none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(_read_json(index).get("weight_map", {}).values())
        gone = sorted(name for name in named if not (folder / name).is_file())
        if gone:
            raise BadCheckpointError(
                f"its index names {_name_some(gone, 'files')} that are missing"
            )
        return
    if (folder / "model.safetensors").is_file():
        return
    parts = sorted(path.name for path in folder.glob("*.safetensors"))
    found = f"only {', '.join(parts[:_NUM_NAMED])}" if parts else "no safetensors files"
    raise BadCheckpointError(
        f"it has neither model.safetensors nor model.safetensors.index.json, {found}"
    )


def _quantised_types(folder: Path) -> Counter[str]:
    """Count the tensors of each type that is not a plain number; read every file's header."""
    return Counter(
        tensor["dtype"]
        for file in folder.glob("*.safetensors")
        for tensor in _header(file).values()
        # Integer vectors are positions and the like.
        if tensor["dtype"] not in _PLAIN_TYPES and len(tensor["shape"]) > 1
    )


def _header(file: Path) -> dict[str, Any]:
    try:
        with safe_open(file, framework="np"):  # raises if the file is shorter than its header says
            return safetensors_header(file)
    except (OSError, SafetensorError) as error:
        raise BadCheckpointError(f"{file.name} is damaged: {error}") from error


def _quantization(config: Mapping[str, Any]) -> str | None:
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in _QUANTIZATION_KEYS:
            if isinstance(part.get(key), dict):
                return str(part[key].get("quant_method", "unknown"))
    return None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadCheckpointError(f"{file.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadCheckpointError(f"{file.name} is no JSON object")
    return found


def _name_some(names: list[str], noun: str = "tensors") -> str:
    more = ", …" if len(names) > _NUM_NAMED else ""
    return f"{len(names)} {noun} ({', '.join(names[:_NUM_NAMED])}{more})"
