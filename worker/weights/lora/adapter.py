"""LoRA adapters in the format of PEFT: configuration and tensors, checked before a merge.

What would change the results and is not merged is refused by name.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from worker.engine.checkpoint.adapter import ADAPTER
from worker.engine.checkpoint.files import Checkpoint, name_some
from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.interface import BadCheckpointError

WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_PREFIX = "base_model.model."
_KEY = re.compile(
    r"^(?P<module>.+)\.lora_(?P<part>embedding_A|embedding_B|A|B)(\.default)?(\.weight)?$"
)
_UNMERGED = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "lora_bias": "LoRA with biases",
    "layer_replication": "replicated layers",
    "megatron_config": "Megatron",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "LoRA of parameters (target_parameters)",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
}
"""Fields that turn on what is not merged, and its name."""
_CHANGING_STARTS = ("pissa", "olora", "corda", "loftq")
"""Initialisations that change the weights of the base model as well."""


@dataclass(frozen=True, slots=True)
class Update:
    """Names of the two matrices whose product is added to a tensor, and the factor before it."""

    down: str
    up: str
    scale: float
    is_embedding: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter whose configuration and headers have been found to be mergeable."""

    folder: Path
    base: str
    """Folder, or `owner/name` on the hub, of the model that it was trained for."""
    updates: Mapping[str, Update]
    """Updates by the names of the modules whose weights they change."""
    replacements: Mapping[str, str]
    """Names of tensors that take the place of the base model's, by the names of those."""
    is_transposed: bool
    """True if the weights of the base model have their inputs first (`Conv1D`)."""
    tensors: Mapping[str, TensorHeader]


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter; raise `BadCheckpointError` for one that is not whole, or not merged."""
    checkpoint = Checkpoint.of_folder(folder)
    config = _read_config(checkpoint)
    if WEIGHTS not in checkpoint.sizes:
        kind = (
            "pickled weights, which could run code"
            if _PICKLED in checkpoint.sizes
            else "no weights"
        )
        raise BadCheckpointError(f"the adapter has {kind}: it must have {WEIGHTS}")
    tensors = read_header(folder / WEIGHTS)
    updates, replacements = _sort(tensors, config)
    return Adapter(
        folder=folder,
        base=str(config["base_model_name_or_path"]),
        updates=updates,
        replacements=replacements,
        is_transposed=bool(config.get("fan_in_fan_out")),
        tensors=tensors,
    )


def read_small_adapter(checkpoint: Checkpoint) -> Adapter:
    """Read an adapter of the hub, of whose weights only the name is known.

    Raises `BadCheckpointError` for one that is not whole, or not merged.
    """
    config = _read_config(checkpoint)
    if WEIGHTS not in checkpoint.sizes:
        raise BadCheckpointError(f"the adapter has no {WEIGHTS}")
    return Adapter(
        folder=checkpoint.folder,
        base=str(config["base_model_name_or_path"]),
        updates={},
        replacements={},
        is_transposed=False,
        tensors={},
    )


def _read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.read_json(ADAPTER)
    for problem in find_problems(config):
        raise BadCheckpointError(problem)
    return config


def find_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield why an adapter with this configuration is not merged."""
    kind = str(config.get("peft_type", "unknown")).upper()
    if kind != "LORA":
        yield f"it is an adapter of the kind {kind}; only LORA is merged"
    for name, feature in _UNMERGED.items():
        if config.get(name):
            yield f"it is a LoRA adapter with {feature}, which is not merged ({name})"
    if (bias := config.get("bias", "none")) != "none":
        yield f"it is a LoRA adapter with trained biases, which are not merged (bias: {bias})"
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGING_STARTS):
        yield f"its start, {start}, changed the weights of its base model (init_lora_weights)"
    if not config.get("base_model_name_or_path"):
        yield f"{ADAPTER} names no base model (base_model_name_or_path)"
    if not isinstance(config.get("r"), int) or not isinstance(
        config.get("lora_alpha"), int | float
    ):
        yield f"{ADAPTER} has no rank or no factor (r, lora_alpha)"


def _sort(
    tensors: Mapping[str, TensorHeader], config: Mapping[str, Any]
) -> tuple[dict[str, Update], dict[str, str]]:
    """Return updates by module, and replacements by tensor of the base model."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    replacements: dict[str, str] = {}
    for key in tensors:
        name = key.removeprefix(_PREFIX)
        if "lora_magnitude_vector" in name:
            raise BadCheckpointError("it is a LoRA adapter with DoRA, which is not merged")
        if match := _KEY.match(name):
            parts[match["module"].removesuffix(".base_layer")][match["part"]] = key
        elif "lora_" in name:
            raise BadCheckpointError(f"its tensor {key} is none of LoRA's")
        else:
            replacements[
                name.replace(".modules_to_save.default", "").replace(".base_layer", "")
            ] = key
    return {
        module: _update(module, found, tensors, config) for module, found in parts.items()
    }, replacements


def _update(
    module: str,
    parts: Mapping[str, str],
    tensors: Mapping[str, TensorHeader],
    config: Mapping[str, Any],
) -> Update:
    is_embedding = "embedding_A" in parts or "embedding_B" in parts
    names = ("embedding_A", "embedding_B") if is_embedding else ("A", "B")
    if missing := [name for name in names if name not in parts]:
        raise BadCheckpointError(f"the adapter lacks lora_{missing[0]} of {module}")
    down, up = (parts[name] for name in names)
    rank = tensors[down].shape[0]
    expected = _of_module(config.get("rank_pattern"), module, config["r"])
    if rank != expected or tensors[up].shape[1] != rank:
        shapes = [list(tensors[name].shape) for name in (down, up)]
        raise BadCheckpointError(f"{module} has matrices of {shapes}, and not the rank {expected}")
    alpha = float(_of_module(config.get("alpha_pattern"), module, config["lora_alpha"]))
    scale = alpha / (sqrt(rank) if config.get("use_rslora") else rank)
    return Update(down, up, scale, is_embedding)


def _of_module(patterns: Any, module: str, default: Any) -> Any:
    """Return the value of the first pattern that a module's name ends with, as PEFT has it."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def find_places(adapter: Adapter, stored: Mapping[str, TensorHeader]) -> dict[str, str]:
    """Return the name of the base model's tensor for each name of the adapter's.

    Raises `BadCheckpointError` if the base model lacks some of them, or has them in other shapes.
    """
    wanted = [f"{module}.weight" for module in adapter.updates] + list(adapter.replacements)
    places = {name: _place(name, stored) for name in wanted}
    if lost := [name for name, place in places.items() if place is None]:
        raise BadCheckpointError(f"its base model has no place for {name_some(lost, 'tensors')}")
    found = {name: place for name, place in places.items() if place is not None}
    for name, place in found.items():
        if (shape := _shape(adapter, name)) != list(stored[place].shape):
            raise BadCheckpointError(
                f"{name} has the shape {shape}, that of its base model {list(stored[place].shape)}"
            )
    return found


def _shape(adapter: Adapter, name: str) -> list[int]:
    """Return the shape of the tensor that an entry of the adapter changes."""
    if name in adapter.replacements:
        return list(adapter.tensors[adapter.replacements[name]].shape)
    update = adapter.updates[name.removesuffix(".weight")]
    down, up = adapter.tensors[update.down].shape, adapter.tensors[update.up].shape
    is_turned = update.is_embedding or adapter.is_transposed
    return [down[1], up[0]] if is_turned else [up[0], down[1]]


def _place(name: str, stored: Mapping[str, TensorHeader]) -> str | None:
    """Return a tensor of that name, or the only one whose name ends so after a prefix less."""
    if name in stored:
        return name
    ending = f".{name.removeprefix('model.')}"
    candidates = [key for key in stored if key.endswith(ending)]
    return candidates[0] if len(candidates) == 1 else None
