"""Fields of config.json for networks with experts, convolutions or states."""

from worker.weights.gguf.fields import (
    Fields,
    expert_fields,
    granite_fields,
    has_tensor,
    qwen2_fields,
    qwen3_fields,
    require,
    rope_fields,
)
from worker.weights.gguf.file import GgufFile


def qwen2_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 2 with experts."""
    return (
        qwen2_fields(file)
        | expert_fields(file)
        | {"norm_topk_prob": False, "decoder_sparse_step": 1}
    )


def qwen3_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 3 with experts."""
    return (
        qwen3_fields(file)
        | expert_fields(file)
        | {"norm_topk_prob": True, "decoder_sparse_step": 1}
    )


def olmoe_fields(file: GgufFile) -> Fields:
    """Return the fields of OLMoE."""
    return rope_fields(file) | expert_fields(file) | {"norm_topk_prob": False}


def gpt_oss_fields(file: GgufFile) -> Fields:
    """Return the fields of gpt-oss."""
    fields = rope_fields(file) | expert_fields(file, count="num_local_experts")
    fields["rope_parameters"]["truncate"] = False  # of all networks of the family, and nowhere said
    size = require(file, "expert_feed_forward_length")
    return fields | {
        "intermediate_size": size,
        "sliding_window": require(file, "attention.sliding_window"),
    }


def granite_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of Granite with experts."""
    fields = granite_fields(file) | expert_fields(file, count="num_local_experts")
    return {name: value for name, value in fields.items() if name != "mlp_bias"}


def dots1_fields(file: GgufFile) -> Fields:
    """Return the fields of dots.llm1."""
    fields = rope_fields(file) | expert_fields(file, count="n_routed_experts")
    return fields | {
        "n_shared_experts": require(file, "expert_shared_count"),
        "routed_scaling_factor": float(require(file, "expert_weights_scale")),
        "norm_topk_prob": bool(require(file, "expert_weights_norm")),
        "first_k_dense_replace": require(file, "leading_dense_block_count"),
        "attention_bias": has_tensor(file, "attn_q.bias"),
        "n_group": file.get("expert_group_count") or 1,
        "topk_group": file.get("expert_group_used_count") or 1,
    }


def glm4_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of GLM 4.5 and 4.6."""
    return dots1_fields(file) | {"use_qk_norm": has_tensor(file, "attn_q_norm.weight")}


def ernie_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of ERNIE 4.5 with experts."""
    return rope_fields(file) | {
        "moe_num_experts": require(file, "expert_count"),
        "moe_k": require(file, "expert_used_count"),
        "moe_intermediate_size": require(file, "expert_feed_forward_length"),
        "moe_num_shared_experts": file.get("expert_shared_count") or 0,
        "moe_layer_start_index": require(file, "leading_dense_block_count"),
        "moe_layer_interval": require(file, "interleave_moe_layer_step"),
        "use_bias": has_tensor(file, "attn_q.bias"),
    }


def minimax_m2_fields(file: GgufFile) -> Fields:
    """Return the fields of MiniMax M2."""
    size = require(file, "expert_feed_forward_length")
    return (
        rope_fields(file)
        | expert_fields(file, count="num_local_experts")
        | {"intermediate_size": size, "use_qk_norm": True}
    )


def lfm2_fields(file: GgufFile) -> Fields:
    """Return the fields of LFM2, of convolutions and attention."""
    # One number for each layer: layers without heads are convolutions.
    heads = require(file, "attention.head_count_kv")
    return rope_fields(file) | {
        "num_key_value_heads": max(heads),
        "layer_types": ["full_attention" if number else "conv" for number in heads],
        "block_auto_adjust_ff_dim": False,
        "norm_eps": float(require(file, "attention.layer_norm_rms_epsilon")),
        "conv_L_cache": require(file, "shortconv.l_cache"),
        "conv_bias": has_tensor(file, "shortconv.in_proj.bias"),
    }


def lfm2_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of LFM2 with experts."""
    return (
        lfm2_fields(file)
        | expert_fields(file)
        | {"num_dense_layers": require(file, "leading_dense_block_count")}
    )


def qwen35_moe_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 3.5 with experts."""
    return qwen35_fields(file) | expert_fields(file)


def qwen35_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 3.5, of gated delta layers and attention."""
    num_values = require(file, "ssm.time_step_rank")
    fields = rope_fields(file)
    sections = [size for size in file.get("rope.dimension_sections", ()) if size]
    if sections:
        fields["rope_parameters"] |= {"mrope_section": sections, "mrope_interleaved": True}
    return fields | {
        "layer_types": _linear_layers(file),
        "linear_conv_kernel_dim": require(file, "ssm.conv_kernel"),
        "linear_key_head_dim": require(file, "ssm.state_size"),
        "linear_num_key_heads": require(file, "ssm.group_count"),
        "linear_num_value_heads": num_values,
        "linear_value_head_dim": require(file, "ssm.inner_size") // num_values,
    }


def _linear_layers(file: GgufFile) -> list[str]:
    period = require(file, "full_attention_interval")
    kinds = ("linear_attention", "full_attention")
    num_layers = require(file, "block_count") - file.get("nextn_predict_layers", 0)
    return [kinds[(layer + 1) % period == 0] for layer in range(num_layers)]
