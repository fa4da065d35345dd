"""DeepSeek V2 and V3 as the converter of llama.cpp writes them."""

from typing import Any

import gguf

from tests.unit.worker.weights.gguf.exporter import Array, Export
from tests.unit.worker.weights.gguf.sizes import split_bias

LATENT = {"kv_lora_rank": 24, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 24}
DEEPSEEK: dict[str, Any] = {
    **LATENT,
    "head_dim": 16,
    "num_key_value_heads": 4,
    "q_lora_rank": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.5,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": True,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 10_000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "mscale": 0.7,
        "mscale_all_dim": 0.7,
    },
}


def deepseek(writer: gguf.GGUFWriter, config: Any) -> None:
    """Write what the converter does since it stores keys and values apart."""
    old_deepseek(writer, config)
    writer.add_head_count_kv(1)
    writer.add_key_length(config.kv_lora_rank + config.qk_rope_head_dim)
    writer.add_value_length(config.kv_lora_rank)
    writer.add_key_length_mla(config.qk_nope_head_dim + config.qk_rope_head_dim)
    writer.add_value_length_mla(config.v_head_dim)
    writer.add_expert_group_count(config.n_group)
    writer.add_expert_group_used_count(config.topk_group)
    if config.model_type == "deepseek_v3":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def old_deepseek(writer: gguf.GGUFWriter, config: Any) -> None:
    """Write what the converter did before."""
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    if config.q_lora_rank is not None:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    writer.add_key_length(config.qk_nope_head_dim + config.qk_rope_head_dim)
    writer.add_value_length(config.v_head_dim)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    if config.norm_topk_prob:
        writer.add_expert_weights_norm(True)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    rope = config.rope_parameters
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def split_latent(name: str, values: Array) -> dict[str, Array]:
    """Return keys and values apart, keys transposed, as `DeepseekV2Model.modify_tensors` does."""
    if not name.endswith("kv_b_proj.weight"):
        return split_bias(name, values)
    nope, size = LATENT["qk_nope_head_dim"], LATENT["v_head_dim"]
    heads = values.reshape(-1, nope + size, values.shape[-1])
    stem = name.removesuffix("kv_b_proj.weight")
    return {
        f"{stem}k_b_proj.weight": heads[:, :nope].swapaxes(1, 2),
        f"{stem}v_b_proj.weight": heads[:, nope:],
    }


LATENT_NETWORKS: dict[str, tuple[str, dict[str, Any], Export]] = {
    "deepseek v3": (
        "deepseek_v3",
        DEEPSEEK,
        Export("deepseek2", metadata=deepseek, split=split_latent),
    ),
    "deepseek v2": (
        "deepseek_v2",
        DEEPSEEK | {"topk_method": "group_limited_greedy", "norm_topk_prob": False},
        Export("deepseek2", metadata=deepseek, split=split_latent),
    ),
    "deepseek v2 lite, old": (
        "deepseek_v2",
        DEEPSEEK
        | {"topk_method": "greedy", "norm_topk_prob": False, "q_lora_rank": None}
        | {"n_group": 1, "topk_group": 1},
        Export("deepseek2", metadata=old_deepseek),
    ),
}
