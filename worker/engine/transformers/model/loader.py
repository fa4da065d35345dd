"""Loading of a model folder onto a device: memory check, model class, number type and attention.

Only safetensors files are read, and no code from the folder is executed.
"""

from contextlib import suppress
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from worker.engine.interface import BadCheckpointError, EngineConfig, UnsupportedModelError
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.engine.transformers.model.load_report import CONFIG_ERRORS, check_loaded, one_line
from worker.engine.transformers.model.memory import check_fits, free_bytes
from worker.engine.transformers.model.preview.estimate import torch_bytes
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.model.quantized.load import load_quantized, move_packed
from worker.engine.transformers.text_config import network_loader, text_config_name
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME, register_attention
from worker.engine.transformers.torch_forward.fused_norm import fuse_norms
from worker.engine.transformers.torch_forward.quantize import quantize_linear_layers


def load_model(config: EngineConfig) -> Any:
    """Load the network for inference in torch.

    Raises `ModelTooLargeError` before any weights are read, and `UnsupportedModelError` for a
    network that transformers cannot load with this configuration.
    """
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    # On a GPU the KV cache is sized after loading, by the memory that the weights leave.
    cache_bytes = 0 if device.type == "cuda" else config.kv_cache_bytes
    weights = footprint(config.folder)
    check_fits(torch_bytes(weights, config), cache_bytes, free_bytes(device))
    if weights.num_quantized and config.dtype == "int8":
        raise UnsupportedModelError("its weights are quantised already: set ANTIPHON_DTYPE=auto")
    model = load_network(config, dtype, device)
    if weights.num_quantized:
        with suppress(ValueError):  # the network has no experts
            # One expert after the other, so that no more of them are dequantised at a time.
            model.set_experts_implementation("eager")
    if config.dtype == "int8":
        # A vision part stays as it is.
        quantize_linear_layers(model, (model.get_decoder(), model.get_output_embeddings()))
    if device.type == "cuda":
        fuse_norms(model)
    return model


def load_network(config: EngineConfig, dtype: torch.dtype, device: torch.device) -> Any:
    """Load the network from transformers, with the language model's attention replaced by ours.

    Raises `UnsupportedModelError` if transformers cannot load it, and `BadCheckpointError` if the
    weights are not whole; `check_network` tells most of both before weights are read.
    """
    register_attention()
    try:
        model_config = AutoConfig.from_pretrained(config.folder, local_files_only=True)
        with device:
            model = _instantiate(config, model_config, dtype)
    except (SafetensorError, OSError) as error:
        raise BadCheckpointError(f"its files cannot be read: {error}") from error
    except CONFIG_ERRORS as error:
        raise UnsupportedModelError(f"transformers cannot load it: {one_line(error)}") from error
    move_packed(model, device)
    return model.to(device).eval()


def end_token_ids(model: Any) -> frozenset[int]:
    """Return the end-of-sequence token ids, from the generation config or else the model's."""
    generation = model.generation_config
    ids = generation.eos_token_id if generation is not None else None
    if ids is None:
        # Not every configuration of a language part has it.
        ids = getattr(model.config.get_text_config(), "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _instantiate(config: EngineConfig, model_config: Any, dtype: torch.dtype) -> Any:
    loader = network_loader(model_config)
    # Only the language model uses our attention; a vision network keeps its own.
    attention = {text_config_name(model_config): ATTENTION_NAME}
    if config.has_random_weights:
        return loader.from_config(model_config, dtype=dtype, attn_implementation=attention)
    settings = {
        "dtype": dtype,
        "attn_implementation": attention,
        # Reported as well, and then refused.
        "ignore_mismatched_sizes": True,
    }
    form = folder_format(config.folder)
    if form is not None:
        model, report = load_quantized(loader, config.folder, form, model_config, **settings)
    else:
        model, report = loader.from_pretrained(
            config.folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
    check_loaded(report, model.state_dict().keys())
    return model
