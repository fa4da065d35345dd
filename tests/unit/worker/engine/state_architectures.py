"""Configurations of tiny networks with layers that keep a state per sequence.

States are small, so that a cache for few blocks has room for them.
"""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from tests.unit.worker.engine.tiny_networks import SIZES

_MIXED = {"layer_types": ["linear_attention", "full_attention"]}
_CONVOLUTIONS = {
    "layer_types": ["conv", "full_attention"],
    "tie_word_embeddings": False,
    "num_dense_layers": 1,
}
_DELTA = {
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4},
}
_EXPERTS = {
    **{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    **{"shared_expert_intermediate_size": 32, "head_dim": 16},
}
_LATENT = {
    **{"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    **{"num_key_value_heads": 4, "head_dim": 8, "linear_head_dim": 8, "linear_num_heads": 4},
    **{"num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_expand": 1}


def _config(model_type: str, *parts: dict[str, Any], **own: Any) -> PreTrainedConfig:
    merged = dict(SIZES)
    for part in (*parts, own):
        merged |= part
    return AutoConfig.for_model(model_type, **merged)


WITH_STATES: dict[str, PreTrainedConfig] = {
    "bailing_hybrid": _config("bailing_hybrid", _LATENT, _MIXED),
    "bamba": _config("bamba", _MAMBA, attn_layer_indices=[1]),
    "falcon_h1": _config("falcon_h1", _MAMBA, mamba_d_ssm=32),
    "falcon_mamba": _config("falcon_mamba", state_size=8, expand=1, tie_word_embeddings=False),
    "granitemoehybrid": _config(
        "granitemoehybrid", _MAMBA, _MIXED, num_local_experts=4, shared_intermediate_size=32
    ),
    "jamba": _config(
        "jamba", mamba_d_state=8, num_experts=2, attn_layer_period=2, attn_layer_offset=1
    ),
    "kimi_linear": _config("kimi_linear", _LATENT, _MIXED),
    "lfm2": _config("lfm2", _CONVOLUTIONS),
    "lfm2_moe": _config("lfm2_moe", _CONVOLUTIONS, _EXPERTS),
    "mamba": _config("mamba", state_size=8, expand=1, tie_word_embeddings=False),
    "mamba2": _config("mamba2", num_heads=4, head_dim=8, state_size=8, expand=1, n_groups=1),
    "minimax": _config("minimax", _MIXED, head_dim=8, num_local_experts=4, block_size=16),
    "nemotron_h": _config(
        "nemotron_h",
        layers_block_type=["linear_attention", "moe", "full_attention", "mlp"],
        **{"mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1},
        **{"head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2},
        **{"moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 32},
    ),
    "olmo_hybrid": _config("olmo_hybrid", _DELTA, _MIXED, linear_num_value_heads=2),
    "qwen3_5_moe_text": _config("qwen3_5_moe_text", _DELTA, _EXPERTS, _MIXED),
    "qwen3_5_text": _config("qwen3_5_text", _DELTA, _MIXED, head_dim=16),
    "qwen3_next": _config("qwen3_next", _DELTA, _EXPERTS, _MIXED),
    "zamba2": _config(
        "zamba2",
        layers_block_type=["mamba", "hybrid"],
        mamba_d_state=8,
        mamba_expand=1,
        n_mamba_heads=4,
        num_mem_blocks=1,
        adapter_rank=8,
    ),
}
