"""Fields of config.json for networks whose keys and values come from a shared latent (MLA)."""

from worker.weights.gguf.fields import THETA, Fields, expert_fields, require
from worker.weights.gguf.file import GgufFile
from worker.weights.gguf.rope import rope_parameters

_SOFTMAX = 1
"""Number of the function that scores experts in DeepSeek V2; V3 has another."""
_GROUPS_OF_V3 = {256: (8, 4)}
"""Groups of experts, and how many of them compute a token, by the number of experts.

Files from before the metadata had them are of networks without groups, or of DeepSeek V3.
"""
_LOG_MULTIPLIER = 0.1
"""Factor by which llama.cpp's converter multiplies what it stores of YaRN's `mscale_all_dim`."""


def is_deepseek_v2(file: GgufFile) -> bool:
    """Return True for DeepSeek V2 and V2 Lite, False for V3, R1, Kimi K2 and their like."""
    scoring = file.get("expert_gating_func", _SOFTMAX)
    has_biases = any(name.endswith("exp_probs_b.bias") for name in file.tensors)
    return bool(scoring == _SOFTMAX) and not has_biases


def deepseek_v3_fields(file: GgufFile) -> Fields:
    """Return the fields of DeepSeek V3."""
    groups = _GROUPS_OF_V3.get(require(file, "expert_count"), (1, 1))
    return _latent_fields(file) | {
        "n_group": file.get("expert_group_count", groups[0]),
        "topk_group": file.get("expert_group_used_count", groups[1]),
        "norm_topk_prob": bool(file.get("expert_weights_norm", False)),
        "rope_interleave": True,
    }


def deepseek_v2_fields(file: GgufFile) -> Fields:
    """Return the fields of DeepSeek V2."""
    groups = file.get("expert_group_count") or 1
    return _latent_fields(file) | {
        "n_group": groups,
        "topk_group": file.get("expert_group_used_count") or 1,
        "topk_method": "greedy" if groups == 1 else "group_limited_greedy",
        "norm_topk_prob": bool(file.get("expert_weights_norm", False)),
    }


def _latent_fields(file: GgufFile) -> Fields:
    rotary = int(require(file, "rope.dimension_count"))
    # Newer files have the sizes of what is cached, which is the latent, under the plain names.
    keys = file.get("attention.key_length_mla") or require(file, "attention.key_length")
    values = file.get("attention.value_length_mla") or require(file, "attention.value_length")
    fields = expert_fields(file, count="n_routed_experts")
    return fields | {
        "rope_parameters": _rope(file, rotary),
        "head_dim": rotary,
        "num_key_value_heads": require(file, "attention.head_count"),
        "q_lora_rank": file.get("attention.q_lora_rank"),
        "kv_lora_rank": require(file, "attention.kv_lora_rank"),
        "qk_rope_head_dim": rotary,
        "qk_nope_head_dim": keys - rotary,
        "v_head_dim": values,
        "first_k_dense_replace": require(file, "leading_dense_block_count"),
        "n_shared_experts": require(file, "expert_shared_count"),
        "routed_scaling_factor": float(file.get("expert_weights_scale") or 1.0),
    }


def _rope(file: GgufFile, rotary: int) -> Fields:
    found = rope_parameters(file, rotary, THETA)
    multiplier = float(file.get("rope.scaling.yarn_log_multiplier") or 0.0)
    if found["rope_type"] != "yarn" or not multiplier:
        return found
    # Both scales are equal in all networks of the family; llama.cpp takes this for granted, too.
    scale = round(multiplier / _LOG_MULTIPLIER, 6)
    return found | {"mscale": scale, "mscale_all_dim": scale}
