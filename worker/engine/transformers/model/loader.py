"""From a folder to a network on its device: which class, type and attention, and does it fit.

Only safetensors are read, and nothing of a model is ever executed.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.engine.transformers.model.memory import check_fits, free_bytes, stored_weights_bytes
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME, register_attention
from worker.engine.transformers.torch_forward.fused_norm import fuse_norms
from worker.engine.transformers.torch_forward.quantize import quantize_linear_layers


def load_model(config: EngineConfig) -> Any:
    """Load the network for inference in torch.

    Raises `ModelTooLargeError` before it reads any weights, and `UnsupportedModelError` for what
    transformers cannot load this way.
    """
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    # On a GPU the cache takes what the weights leave.
    cache_bytes = 0 if device.type == "cuda" else config.kv_cache_bytes
    check_fits(stored_weights_bytes(config.folder, dtype), cache_bytes, free_bytes(device))
    model = load_network(config, dtype, device)
    if config.dtype == "int8":
        if text_config_name(model.config):
            raise UnsupportedModelError("a network that takes images cannot be kept in int8")
        quantize_linear_layers(model)
    if device.type == "cuda":
        fuse_norms(model)
    return model


def load_network(config: EngineConfig, dtype: torch.dtype, device: torch.device) -> Any:
    """Load the network as transformers has it, but with our attention; raises
    `UnsupportedModelError`."""
    register_attention()
    try:
        known = AutoConfig.from_pretrained(config.folder, local_files_only=True)
        with device:
            model = _from_folder(config, known, dtype)
    except (ImportError, KeyError, ValueError) as error:
        raise UnsupportedModelError(f"transformers cannot load it so: {error!r}") from error
    return model.to(device).eval()


def end_token_ids(model: Any) -> frozenset[int]:
    """The tokens with which the model ends an answer."""
    generation = model.generation_config
    ids = generation.eos_token_id if generation is not None else None
    if ids is None:
        ids = model.config.get_text_config().eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _from_folder(config: EngineConfig, known: Any, dtype: torch.dtype) -> Any:
    text_config = text_config_name(known)
    # Only the language model's attention is ours; a vision network keeps its own.
    loader: Any = AutoModelForImageTextToText if text_config else AutoModelForCausalLM
    attention = {text_config: ATTENTION_NAME}
    if config.has_random_weights:
        return loader.from_config(known, dtype=dtype, attn_implementation=attention)
    return loader.from_pretrained(
        config.folder,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation=attention,
    )


def text_config_name(config: Any) -> str:
    """Under which name the config of the language model lies in the whole one; "" if it is it."""
    text = config.get_text_config()
    names = (name for name in config.sub_configs if getattr(config, name, None) is text)
    return next(names, "")
