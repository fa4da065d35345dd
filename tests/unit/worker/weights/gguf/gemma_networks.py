"""Gemma 3n and 4 as the converters of llama.cpp write them."""

import re
from typing import Any

import gguf
import numpy as np
import torch

from tests.unit.worker.weights.gguf.exporter import VOCAB_SIZE, Array, Export
from tests.unit.worker.weights.gguf.sizes import PLAIN_HEADS, pattern, window

GLOBAL_SIZE = 48
"""Size of the heads of Gemma 4 that attend to everything."""
GEMMA_4: dict[str, Any] = {
    "allow_global_per_layer_attribute_access": True,
    "tie_word_embeddings": True,
    "sliding_window": 8,
    "num_hidden_layers": 6,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
    "global_head_dim": GLOBAL_SIZE,
    "hidden_size_per_layer_input": 16,
    "vocab_size_per_layer_input": VOCAB_SIZE,
    "final_logit_softcapping": 30.0,
}


def gemma3n(writer: gguf.GGUFWriter, config: Any) -> None:
    layers_with_inputs(writer, config)
    writer.add_altup_active_idx(config.altup_active_idx)
    writer.add_altup_num_inputs(config.altup_num_inputs)
    normal: Any = torch.distributions.Normal(0, 1)
    scales = normal.icdf(torch.tensor(config.activation_sparsity_pattern))
    writer.add_activation_sparsity_scale(scales.tolist())


def layers_with_inputs(writer: gguf.GGUFWriter, config: Any) -> None:
    window(writer, config)
    pattern(writer, config)
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_shared_kv_layers(config.num_kv_shared_layers)
    writer.add_embedding_length_per_layer_input(config.hidden_size_per_layer_input)


def gemma4(writer: gguf.GGUFWriter, config: Any) -> None:
    layers_with_inputs(writer, config)
    count, size = config.num_hidden_layers, GLOBAL_SIZE
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_key_length_swa(config.head_dim)
    writer.add_value_length_swa(config.head_dim)
    writer.add_rope_dimension_count(size)
    writer.add_rope_dimension_count_swa(config.head_dim)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if config.use_double_wide_mlp:
        first = count - config.num_kv_shared_layers
        wide = config.intermediate_size
        writer.add_feed_forward_length([wide * (1 + (n >= first)) for n in range(count)])
    if config.attention_k_eq_v:
        heads = {"sliding_attention": config.num_key_value_heads, "full_attention": 1}
        writer.add_head_count_kv([heads[kind] for kind in config.layer_types])
    if config.enable_moe_block:
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    rotary = config.rope_parameters["full_attention"]["partial_rotary_factor"]
    num_rotary = int(size * rotary / 2)
    freqs = [1.0] * num_rotary + [1e30] * (size // 2 - num_rotary)
    writer.add_tensor("rope_freqs.weight", np.array(freqs, np.float32))


def split_gemma(name: str, values: Array) -> dict[str, Array]:
    """Return a tensor under the name that the converters of Gemma 3n and 4 give it."""
    layer, _, part = name.removeprefix("model.layers.").partition(".")
    if part == "router.scale":
        return {f"blk.{layer}.ffn_gate_inp.scale": values}
    if part == "router.per_expert_scale":
        return {f"blk.{layer}.ffn_down_exps.scale": values}
    if match := re.fullmatch(r"model\.altup_(unemb|proj)\w+\.(\d)\.weight", name):
        tensor = {"unemb": "altup_unembd_proj", "proj": "altup_proj"}[match[1]]
        return {f"{tensor}.weight[{match[2]}]": values}
    is_bare = not name.endswith((".weight", ".bias"))
    return {f"{name}.weight" if is_bare else name: values}


GEMMA_NETWORKS: dict[str, tuple[str, dict[str, Any], Export]] = {
    "gemma3n": (
        "gemma3n_text",
        {
            **PLAIN_HEADS,
            "tie_word_embeddings": True,
            "sliding_window": 8,
            "num_hidden_layers": 6,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
            "num_kv_shared_layers": 3,
            "hidden_size_per_layer_input": 16,
            "vocab_size_per_layer_input": VOCAB_SIZE,
            "laurel_rank": 8,
            "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0, 0.0, 0.0],
        },
        Export("gemma3n", metadata=gemma3n, split=split_gemma),
    ),
    "gemma4": (
        "gemma4_text",
        GEMMA_4 | {"num_kv_shared_layers": 3, "use_double_wide_mlp": True},
        Export("gemma4", metadata=gemma4, split=split_gemma),
    ),
    "gemma4, experts": (
        "gemma4_text",
        GEMMA_4
        | {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32}
        | {"enable_moe_block": True, "attention_k_eq_v": True, "num_global_key_value_heads": 1}
        | {"hidden_size_per_layer_input": 0},
        Export("gemma4", metadata=gemma4, split=split_gemma),
    ),
}
