"""Conversion of a folder of weights to a network for OpenVINO."""

from contextlib import suppress
from typing import Any

import torch

from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import (
    check_length,
    check_prompts,
    reference_logits,
)
from worker.engine.transformers.model.loader import end_token_ids, load_network
from worker.engine.transformers.model.memory import stored_dtype
from worker.engine.transformers.model.positions import split_positions
from worker.engine.transformers.model.quantized.load import dequantize_packed
from worker.engine.transformers.openvino.conversion.packed_weights import (
    insert_packed,
    replace_by_zeros,
)
from worker.engine.transformers.openvino.conversion.tracing import plan_memory, trace
from worker.engine.transformers.openvino.conversion.upcast import compute_in_float32
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.store import converts_to_full
from worker.engine.transformers.text_config import text_config_name
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME

_EXPERTS = "grouped_mm"
"""Experts implementation of transformers that the plugin supports: it multiplies each token only by
the experts chosen for it."""


def convert(config: EngineConfig) -> Network:
    """Trace the model in a folder; its weights keep the type they are stored in.

    Takes as much memory as the stored weights, and a layer in float32. Raises any error of
    transformers, torch or OpenVINO for a model that cannot be traced.
    """
    model = load_network(config, _dtype(config), torch.device("cpu"))
    if converts_to_full(config):
        dequantize_packed(model)
    compute_in_float32(model)
    # First, as it is quick to find that torch has to compute the model.
    plan = plan_memory(model)
    text = model.config.get_text_config()
    vocab_size = int(text.vocab_size)
    positions = getattr(text, "max_position_embeddings", None)
    max_positions = int(positions) if positions else None
    longest = check_length(model.config)
    prompts = check_prompts(vocab_size, max_positions, longest)
    model.set_attn_implementation("eager")
    _set_experts(model, "eager")  # dequantises one expert after the other
    reference = reference_logits(model, prompts)
    model.set_attn_implementation({text_config_name(model.config): ATTENTION_NAME})
    original_length = split_positions(model)
    _set_experts(model, _EXPERTS)
    placeholders = replace_by_zeros(model)
    graph = trace(model, plan)
    insert_packed(graph, placeholders)
    return Network(
        graph=graph,
        source=model,
        vocab_size=vocab_size,
        eos_token_ids=end_token_ids(model),
        max_positions=max_positions,
        check_length=longest,
        original_length=original_length,
        reference=reference,
    )


def _dtype(config: EngineConfig) -> torch.dtype:
    if config.has_random_weights:
        return torch.bfloat16
    is_exact = converts_to_full(config) and config.dtype == "float32"
    return torch.float32 if is_exact else stored_dtype(config.folder)


def _set_experts(model: Any, implementation: str) -> None:
    with suppress(ValueError):  # the network has no experts
        model.set_experts_implementation(implementation)
