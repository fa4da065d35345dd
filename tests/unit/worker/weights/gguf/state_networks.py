"""LFM2 and Qwen 3.5 as the converters of llama.cpp write them."""

from typing import Any

import gguf
import numpy as np

from tests.unit.worker.weights.gguf.exporter import Array, Export
from tests.unit.worker.weights.gguf.sizes import EXPERTS, PLAIN_HEADS, shared_expert

DELTA: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 8,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 0.25,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
    },
}


def lfm2(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_shortconv_l_cache(config.conv_L_cache)


def lfm2_moe(writer: gguf.GGUFWriter, config: Any) -> None:
    lfm2(writer, config)
    writer.add_leading_dense_block_count(config.num_dense_layers)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def qwen35_moe(writer: gguf.GGUFWriter, config: Any) -> None:
    qwen35(writer, config, "qwen35moe")
    shared_expert(writer, config)


def split_packed(name: str, values: Array) -> dict[str, Array]:
    """Return the experts' gate and up apart, as `Qwen2MoeModel.modify_tensors` does."""
    if not name.endswith("experts.gate_up_proj"):
        return split_delta(name, values)
    layer = name.split(".")[2]
    gate, up = np.split(values, 2, axis=1)
    return {
        f"blk.{layer}.ffn_gate_exps.weight": gate,
        f"blk.{layer}.ffn_up_exps.weight": up,
    }


def qwen35(writer: gguf.GGUFWriter, config: Any, architecture: str = "qwen35") -> None:
    rope = config.rope_parameters
    writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(config.linear_value_head_dim * config.linear_num_value_heads)
    writer.add_uint32(f"{architecture}.full_attention_interval", 4)


def tiled(name: str, values: Array, config: Any) -> Array:
    """Change a tensor as the converter does for gated delta layers: heads of values are tiled."""
    if name.endswith("norm.weight") and "linear_attn" not in name:
        return values + 1
    part = name.partition("linear_attn.")[2].removesuffix(".weight")
    size = config.linear_value_head_dim
    num_before = 2 * config.linear_key_head_dim * config.linear_num_key_heads
    if part in ("in_proj_qkv", "conv1d"):
        turned = tile(values[num_before:], config, size)
        return np.concatenate([values[:num_before], turned]).squeeze()
    if part == "A_log":
        return -np.exp(tile(values, config, 1))
    if part == "out_proj":
        return tile(values.T, config, size).T
    sizes = {"in_proj_z": size, "in_proj_a": 1, "in_proj_b": 1, "dt_bias": 1, "dt_proj.bias": 1}
    return tile(values, config, sizes[part]) if part in sizes else values


def tile(values: Array, config: Any, size: int) -> Array:
    """Reorder heads from grouped by their head of keys to one of each in turn."""
    num_keys = config.linear_num_key_heads
    per_key = config.linear_num_value_heads // num_keys
    grouped = values.reshape(num_keys, per_key, size, *values.shape[1:])
    return grouped.swapaxes(0, 1).reshape(values.shape)


def split_delta(name: str, values: Array) -> dict[str, Array]:
    return {name.replace("dt_bias", "dt_proj.bias"): values}


def split_lfm2(name: str, values: Array) -> dict[str, Array]:
    return {name.replace("expert_bias", "expert_bias.bias"): values}


STATE_NETWORKS: dict[str, tuple[str, dict[str, Any], Export]] = {
    "lfm2": (
        "lfm2",
        {
            **PLAIN_HEADS,
            "layer_types": ["conv", "conv", "full_attention", "conv"],
            "block_auto_adjust_ff_dim": False,
        },
        Export("lfm2", metadata=lfm2),
    ),
    "lfm2moe": (
        "lfm2_moe",
        {
            **PLAIN_HEADS,
            **EXPERTS,
            "layer_types": ["conv", "conv", "full_attention", "conv"],
            "num_dense_layers": 1,
            "tie_word_embeddings": True,
        },
        Export("lfm2moe", metadata=lfm2_moe, split=split_lfm2),
    ),
    "qwen35": ("qwen3_5_text", DELTA, Export("qwen35", tiled, qwen35, split_delta)),
    "qwen35moe": (
        "qwen3_5_moe_text",
        {**DELTA, **EXPERTS, "shared_expert_intermediate_size": 48},
        Export("qwen35moe", tiled, qwen35_moe, split_packed),
    ),
}
