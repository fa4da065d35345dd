"""Facts about a model before it is loaded: memory, forward pass, formats of calls and reasoning."""

from typing import Any

import torch

from models.profile.profile import profile_of
from models.profile.thinking import ThinkingStyle
from models.settings import Settings
from worker.engine.checkpoint.examine import Fault
from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.headers import ITEM_BITS
from worker.engine.checkpoint.quantizations import Quantization, find_quantization
from worker.engine.checkpoint.tokenizer import read_added_tokens, read_template
from worker.engine.checkpoint.weight_files import read_files, read_tensors
from worker.engine.interface import (
    BadCheckpointError,
    EngineConfig,
    ModelTooLargeError,
    UnsupportedModelError,
)
from worker.engine.transformers.backend import wants_openvino
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.engine.transformers.model.memory import check_fits, free_bytes
from worker.engine.transformers.model.preview.estimate import Footprint, expected_bytes
from worker.engine.transformers.model.preview.network_check import check_network, read_config
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.text_config import text_config_name
from worker.process.engine_config import engine_config

_NAMES: dict[type[Exception], str] = {BadCheckpointError: "tensors", ModelTooLargeError: "memory"}
"""Names of the checks that raise these errors."""
_DTYPE_BITS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}
_COMPRESSED = ("int8", "int4")


def describe_network(
    checkpoint: Checkpoint, settings: Settings
) -> tuple[list[Fault], dict[str, Any]]:
    """Return the faults that building the network shows, and facts about it by name."""
    faults: list[Fault] = []
    facts: dict[str, Any] = {}
    config = engine_config(settings, checkpoint.folder)
    try:
        is_for_openvino = wants_openvino(config)
        facts = _text_facts(checkpoint) | _memory_facts(checkpoint, config, is_for_openvino)
        model_config = read_config(checkpoint)
        facts |= _config_facts(model_config)
        is_openvino = not check_network(checkpoint, model_config, config) and is_for_openvino
        facts |= _memory_facts(checkpoint, config, is_openvino)
        facts["forward"] = "openvino" if is_openvino else "torch"
        check_fits(facts["weights_bytes"], facts["cache_bytes"], facts["free_bytes"])
    except (UnsupportedModelError, ModelTooLargeError) as error:
        faults.append(Fault(_NAMES.get(type(error), "network"), str(error)))
    return faults, facts


def _config_facts(config: Any) -> dict[str, Any]:
    text = config.get_text_config()
    return {
        "model_type": config.model_type,
        "architecture": _first(config.architectures),
        "num_layers": getattr(text, "num_hidden_layers", None),
        "context_length": getattr(text, "max_position_embeddings", None),
        "takes_images": bool(text_config_name(config)),
    }


def _text_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return how the model writes calls and reasoning, by its chat template and its tokens."""
    template, tokens = read_template(checkpoint), read_added_tokens(checkpoint)
    profile = profile_of(template, checkpoint.name, tokens)
    tags = ThinkingStyle(template, tokens).tags
    return {
        "has_chat_template": bool(template),
        "takes_tools": profile.takes_tools,
        "call_format": profile.call_style,
        "reasoning": tags.opener if tags else None,
    }


def _memory_facts(
    checkpoint: Checkpoint, config: EngineConfig, is_openvino: bool
) -> dict[str, Any]:
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    found = find_quantization(checkpoint.read_json(CONFIG), {})
    num_weights, stored_bytes = _sizes(checkpoint)
    weights = _footprint(checkpoint, found, num_weights, stored_bytes)
    return {
        "device": device.type,
        "quantization": found.name if found else None,
        "dtype": config.dtype if config.dtype in _COMPRESSED else _name_of(dtype),
        "num_weights": num_weights,
        "stored_bytes": stored_bytes,
        "weights_bytes": expected_bytes(weights, config, in_openvino=is_openvino),
        "cache_bytes": 0 if device.type == "cuda" else config.kv_cache_bytes,
        "free_bytes": free_bytes(device),
    }


def _footprint(
    checkpoint: Checkpoint, found: Quantization | None, num_weights: int, stored_bytes: int
) -> Footprint:
    """Return the weights; of a model on the hub by the sizes of its files alone."""
    if checkpoint.is_fetched:
        return footprint(checkpoint.folder)
    config = checkpoint.read_json(CONFIG)
    num_layers = (config.get("text_config") or config).get("num_hidden_layers") or 0
    if found is not None and found.support == "packed":
        return Footprint(
            num_plain=0,
            plain_bytes=0,
            num_layers=num_layers,
            quantized_bytes=stored_bytes,
            level_bytes=stored_bytes,
        )
    return Footprint(num_plain=num_weights, plain_bytes=stored_bytes, num_layers=num_layers)


def _sizes(checkpoint: Checkpoint) -> tuple[int, int]:
    """Return the number of weights, and the bytes that they take in the files.

    Where only sizes are known, the number follows from the type that config.json names.
    """
    if checkpoint.is_fetched:
        tensors = read_tensors(checkpoint).values()
        num_bytes = sum(tensor.num_bytes for tensor in tensors)
        return sum(8 * each.num_bytes // ITEM_BITS[each.dtype] for each in tensors), num_bytes
    num_bytes = sum(checkpoint.sizes[name] for name in read_files(checkpoint))
    config = checkpoint.read_json(CONFIG)
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    names = (part.get("dtype") or part.get("torch_dtype") for part in parts)
    bits = next((_DTYPE_BITS[name] for name in names if name in _DTYPE_BITS), 32)
    if (found := find_quantization(config, {})) is not None:
        bits = 4 if "4" in found.name else 8
    return 8 * num_bytes // bits, num_bytes


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first(names: Any) -> str | None:
    return str(names[0]) if isinstance(names, list) and names else None
