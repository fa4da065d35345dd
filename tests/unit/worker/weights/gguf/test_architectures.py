"""Each architecture of GGUF files that is converted computes what its source network does."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig

from tests.unit.worker.weights.gguf.exporter import (
    Array,
    Export,
    load_converted,
    logits,
    make_network,
    paired,
    plus_one,
    write_gguf,
)
from tests.unit.worker.weights.gguf.gemma_networks import GEMMA_NETWORKS
from tests.unit.worker.weights.gguf.latent_networks import LATENT_NETWORKS
from tests.unit.worker.weights.gguf.sizes import (
    EXPERTS,
    PLAIN_HEADS,
    SIZES,
    pattern,
    rotary,
    shared_expert,
    split_bias,
    window,
)
from tests.unit.worker.weights.gguf.state_networks import STATE_NETWORKS
from worker.weights.gguf.architectures import ARCHITECTURES


def granite(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_embedding_scale(config.embedding_multiplier)
    writer.add_residual_scale(config.residual_multiplier)
    writer.add_logit_scale(config.logits_scaling)
    writer.add_attention_scale(config.attention_multiplier)


def gemma2(writer: gguf.GGUFWriter, config: Any) -> None:
    window(writer, config)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)


def layer_norm(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_layer_norm_eps(getattr(config, "norm_epsilon", None) or config.layer_norm_eps)


def cohere(writer: gguf.GGUFWriter, config: Any) -> None:
    layer_norm(writer, config)
    writer.add_logit_scale(config.logit_scale)


def gpt_oss(writer: gguf.GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    window(writer, config)
    writer.add_expert_feed_forward_length(config.intermediate_size)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def split_gpt_oss(name: str, values: Array) -> dict[str, Array]:
    """Return gate and up apart, and outputs before inputs, as `GptOssModel.modify_tensors` does."""
    if name.endswith("sinks"):
        return {f"{name}.weight": values}
    if name.endswith("gate_up_proj_bias"):
        stem = name.removesuffix("gate_up_proj_bias")
        return {f"{stem}gate_proj.bias": values[:, ::2], f"{stem}up_proj.bias": values[:, 1::2]}
    if name.endswith("gate_up_proj"):
        stem, turned = name.removesuffix("gate_up_proj"), values.swapaxes(-1, -2)
        return {f"{stem}gate_proj.weight": turned[:, ::2], f"{stem}up_proj.weight": turned[:, 1::2]}
    if name.endswith("down_proj_bias"):
        return {name.replace("down_proj_bias", "down_proj.bias"): values}
    if name.endswith("experts.down_proj"):
        return {f"{name}.weight": values.swapaxes(-1, -2)}
    return {name: values}


def split_granite(name: str, values: Array) -> dict[str, Array]:
    """Return gate and up apart, as `GraniteMoeModel.modify_tensors` does."""
    if not name.endswith("input_linear.weight"):
        return {name: values}
    layer = name.split(".")[2]
    gate, up = np.split(values, 2, axis=1)
    stem = f"model.layers.{layer}.block_sparse_moe.experts"
    return {f"{stem}.w1.weight": gate, f"{stem}.w3.weight": up}


def cohere2(writer: gguf.GGUFWriter, config: Any) -> None:
    cohere(writer, config)
    window(writer, config)
    writer.add_rope_dimension_count(config.head_dim)


def olmo(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_layer_norm_eps(1e-5)
    writer.add_clamp_kqv(config.clip_qkv)


def axes(writer: gguf.GGUFWriter, config: Any) -> None:
    del config
    writer.add_rope_dimension_sections([2, 3, 3, 0])


def olmo3(writer: gguf.GGUFWriter, config: Any) -> None:
    window(writer, config)
    pattern(writer, config)
    rope = config.rope_parameters["full_attention"]
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def glm4_moe(writer: gguf.GGUFWriter, config: Any) -> None:
    rotary(writer, config)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_expert_weights_norm(config.norm_topk_prob)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)


def dots1(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_expert_weights_norm(config.norm_topk_prob)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_expert_group_count(config.n_group)
    writer.add_expert_group_used_count(config.topk_group)


def ernie_moe(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_expert_shared_count(config.moe_num_shared_experts)
    writer.add_leading_dense_block_count(config.moe_layer_start_index)
    writer.add_interleave_moe_layer_step(config.moe_layer_interval)


def minimax(writer: gguf.GGUFWriter, config: Any) -> None:
    rotary(writer, config)
    writer.add_expert_feed_forward_length(config.intermediate_size)


NETWORKS: dict[str, tuple[str, dict[str, Any], Export]] = {
    "llama": ("llama", {}, Export("llama", paired, rotary)),
    "llama, tied": ("llama", {"tie_word_embeddings": True}, Export("llama", paired, rotary)),
    "llama, biased": (
        "llama",
        {"attention_bias": True, "mlp_bias": True},
        Export("llama", paired, rotary),
    ),
    "mixtral": (
        "mixtral",
        {"num_local_experts": 4, "num_experts_per_tok": 2},
        Export("llama", paired, rotary),
    ),
    "arcee": ("arcee", {}, Export("arcee", paired, rotary)),
    "granite": (
        "granite",
        {
            **PLAIN_HEADS,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 2.0,
            "attention_multiplier": 0.3,
        },
        Export("granite", paired, granite),
    ),
    "smollm3": ("smollm3", {**PLAIN_HEADS, "no_rope_layer_interval": 4}, Export("smollm3", paired)),
    "qwen2": ("qwen2", PLAIN_HEADS, Export("qwen2")),
    "qwen2moe": (
        "qwen2_moe",
        {**PLAIN_HEADS, **EXPERTS, "shared_expert_intermediate_size": 48},
        Export("qwen2moe", metadata=shared_expert),
    ),
    "qwen3": ("qwen3", {}, Export("qwen3")),
    "qwen3moe": ("qwen3_moe", {**EXPERTS, "norm_topk_prob": True}, Export("qwen3moe")),
    "qwen2vl": ("qwen2", PLAIN_HEADS, Export("qwen2vl", metadata=axes)),
    "qwen3vl": ("qwen3", {}, Export("qwen3vl", metadata=axes)),
    "qwen3vlmoe": (
        "qwen3_moe",
        {**EXPERTS, "norm_topk_prob": True},
        Export("qwen3vlmoe", metadata=axes),
    ),
    "phi3": ("phi3", PLAIN_HEADS, Export("phi3")),
    "starcoder2": (
        "starcoder2",
        {**PLAIN_HEADS, "sliding_window": None},
        Export("starcoder2", metadata=layer_norm),
    ),
    "command-r": (
        "cohere",
        {**PLAIN_HEADS, "tie_word_embeddings": True},
        Export("command-r", metadata=cohere),
    ),
    "command-r, norms": (
        "cohere",
        {**PLAIN_HEADS, "tie_word_embeddings": True, "use_qk_norm": True},
        Export("command-r", metadata=cohere),
    ),
    "olmo": (
        "olmo",
        {**PLAIN_HEADS, "clip_qkv": 0.5},
        Export("olmo", paired, olmo),
    ),
    "olmo2": ("olmo2", PLAIN_HEADS, Export("olmo2")),
    "olmoe": ("olmoe", {**PLAIN_HEADS, **EXPERTS}, Export("olmoe")),
    "gemma": ("gemma", {"tie_word_embeddings": True}, Export("gemma", plus_one)),
    "gemma2": (
        "gemma2",
        {"tie_word_embeddings": True, "sliding_window": 8, "query_pre_attn_scalar": 32},
        Export("gemma2", plus_one, gemma2),
    ),
    "gemma3": (
        "gemma3_text",
        {"tie_word_embeddings": True, "sliding_window": 8, "query_pre_attn_scalar": 32}
        | {"num_hidden_layers": 7},
        Export("gemma3", plus_one, window),
    ),
    "seed_oss": ("seed_oss", {"attention_bias": True}, Export("seed_oss")),
    "glm4": ("glm4", {"attention_bias": True}, Export("glm4", metadata=rotary)),
    "ernie4_5": ("ernie4_5", {}, Export("ernie4_5")),
    "gpt-oss": (
        "gpt_oss",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}
        | {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 150_000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
            }
        },
        Export("gpt-oss", metadata=gpt_oss, split=split_gpt_oss),
    ),
    "granitemoe": (
        "granitemoe",
        {
            **PLAIN_HEADS,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 2.0,
            "attention_multiplier": 0.3,
        },
        Export("granitemoe", paired, granite, split_granite),
    ),
    "cohere2": (
        "cohere2",
        {"tie_word_embeddings": True, "sliding_window": 8},
        Export("cohere2", metadata=cohere2),
    ),
    "exaone4": (
        "exaone4",
        {"sliding_window": None, "layer_types": ["full_attention"] * 4},
        Export("exaone4"),
    ),
    "exaone4, windows": (
        "exaone4",
        {"sliding_window": 8, "sliding_window_pattern": 4},
        Export("exaone4", metadata=window),
    ),
    "glm4moe": (
        "glm4_moe",
        {
            **EXPERTS,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "routed_scaling_factor": 1.5,
            "use_qk_norm": True,
            "attention_bias": True,
        },
        Export("glm4moe", metadata=glm4_moe, split=split_bias),
    ),
    "dots1": (
        "dots1",
        {
            **EXPERTS,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "routed_scaling_factor": 1.5,
            "norm_topk_prob": True,
        },
        Export("dots1", metadata=dots1, split=split_bias),
    ),
    "ernie4_5-moe": (
        "ernie4_5_moe",
        {
            "moe_num_experts": 4,
            "moe_k": 2,
            "moe_intermediate_size": 32,
            "moe_num_shared_experts": 1,
            "moe_layer_start_index": 1,
            "moe_layer_end_index": 3,
        },
        Export("ernie4_5-moe", metadata=ernie_moe, split=split_bias),
    ),
    "minimax-m2": (
        "minimax_m2",
        {"num_local_experts": 4, "num_experts_per_tok": 2},
        Export("minimax-m2", metadata=minimax, split=split_bias),
    ),
    "olmo3": (
        "olmo3",
        {
            **PLAIN_HEADS,
            "sliding_window": 8,
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 500_000.0,
                    "factor": 4.0,
                    "original_max_position_embeddings": 32,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 500_000.0},
            },
        },
        Export("olmo2", metadata=olmo3),
    ),
}

NETWORKS |= LATENT_NETWORKS | GEMMA_NETWORKS | STATE_NETWORKS

OFTEN = {"llama", "mixtral", "qwen3", "phi3", "gemma3", "gpt-oss", "glm4moe", "qwen35"}
OFTEN |= {"olmo3", "deepseek v3", "gemma3n", "gemma4, experts"}
"""Networks that are tried at each run; the others are by night."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in OFTEN else pytest.mark.nightly) for name in NETWORKS],
)
def test_a_converted_network_computes_what_its_source_does(name: str, tmp_path: Path) -> None:
    model_type, changes, export = NETWORKS[name]
    model = make_network(AutoConfig.for_model(model_type, **SIZES | changes))
    write_gguf(tmp_path / "tiny.gguf", model, export)

    loaded = load_converted(tmp_path / "tiny.gguf")

    assert loaded.config.model_type == model_type
    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-4, atol=1e-4)


def test_every_architecture_is_tried() -> None:
    assert {export.architecture for _, _, export in NETWORKS.values()} == ARCHITECTURES.keys()
