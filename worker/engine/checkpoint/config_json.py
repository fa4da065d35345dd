"""Checks of config.json: it is there, and names a network that transformers knows."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.quantizations import (
    FOREIGN_FILES,
    find_quantization,
    supported_names,
)

_WITHOUT_CONFIG = (
    ("params.json", "it is in Mistral's own format (params.json): take the files with config.json"),
    ("model_index.json", "it is a diffusion pipeline, not a language model"),
    ("mlx_model.safetensors", "it is in MLX's format, which is not read"),
)


_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_MOST = dict.fromkeys(_LAYERS, 1000) | dict.fromkeys(_EXPERTS, 100_000)
"""Largest numbers of parts that are built one by one."""


def find_missing_config(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield a problem if there is no config.json, with what the files are instead."""
    if CONFIG in checkpoint.sizes:
        return
    for name, problem in _WITHOUT_CONFIG:
        if name in checkpoint.sizes:
            yield problem
            return
    if files := sorted(name for name in checkpoint.sizes if name.endswith(".gguf")):
        yield f"it has no {CONFIG}, but GGUF files: fetch one and name it, such as {files[0]}"
    else:
        yield f"it has no {CONFIG}"


def find_bad_config(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if config.json names no network, or one that transformers does not know."""
    del checkpoint
    model_type = config.get("model_type")
    if not model_type or not isinstance(model_type, str):
        yield f"{CONFIG} has no model_type, which says what network it is"
        return
    if not _is_known(model_type):
        code = ", and code that comes with weights is never run" if config.get("auto_map") else ""
        yield f"networks of the type {model_type!r} are unknown to transformers{code}"


def find_vast_config(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if config.json describes a network that would take for ever to be built."""
    del checkpoint
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name, most in _MOST.items():
            if isinstance(number := part.get(name), int) and number > most:
                yield f"{CONFIG} says {name} is {number}, and no network has more than {most}"


def _is_known(model_type: str) -> bool:
    """Return True if transformers has networks of a type."""
    if model_type in _listed_types():
        return True
    # Takes seconds, and knows a few more.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


@cache
def _listed_types() -> frozenset[str]:
    """Return the types in transformers' table, which is read without importing the library."""
    package = find_spec("transformers")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "models" / "auto" / "auto_mappings.py"
    spec = spec_from_file_location("auto_mappings", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return frozenset(module.CONFIG_MAPPING_NAMES)


def find_unread_quantization(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if the weights are quantised in a format that is not read."""
    files = {name: checkpoint.read_json(name) for name in FOREIGN_FILES if name in checkpoint.sizes}
    found = find_quantization(config, files)
    if found is not None and not found.support:
        yield (
            f"its weights are quantised by {found.name}, which is not supported (supported are "
            f"{supported_names()}, and weights that are not quantised)"
        )
