"""Fields of config.json for networks whose layers attend, with or without windows."""

from worker.weights.gguf.fields import (
    THETA,
    Fields,
    has_tensor,
    head_size,
    require,
    rope_fields,
)
from worker.weights.gguf.file import GgufFile
from worker.weights.gguf.rope import rope_parameters


def smollm3_fields(file: GgufFile) -> Fields:
    """Return the fields of SmolLM 3, of whose layers every fourth has no positions."""
    # llama.cpp has the interval in its code.
    num_layers = require(file, "block_count")
    rotary = [int((layer + 1) % 4 != 0) for layer in range(num_layers)]
    return rope_fields(file) | {"no_rope_layers": rotary, "use_sliding_window": False}


def phi3_fields(file: GgufFile) -> Fields:
    """Return the fields of Phi 3 and 4."""
    fields = rope_fields(file)
    original = file.get("rope.scaling.original_context_length")
    return fields | {
        "original_max_position_embeddings": original or require(file, "context_length"),
        "sliding_window": file.get("attention.sliding_window") or None,
    }


def starcoder2_fields(file: GgufFile) -> Fields:
    """Return the fields of StarCoder 2."""
    epsilon = require(file, "attention.layer_norm_epsilon")
    has_bias = has_tensor(file, "attn_q.bias")
    return rope_fields(file) | {
        "norm_epsilon": float(epsilon),
        "use_bias": has_bias,
        "sliding_window": file.get("attention.sliding_window"),
    }


def cohere_fields(file: GgufFile) -> Fields:
    """Return the fields of Command R."""
    return rope_fields(file) | {
        "logit_scale": float(require(file, "logit_scale")),
        "use_qk_norm": has_tensor(file, "attn_q_norm.weight"),
        "attention_bias": has_tensor(file, "attn_q.bias"),
    }


def olmo_fields(file: GgufFile) -> Fields:
    """Return the fields of OLMo 1, whose norms have no weights."""
    clip = file.get("attention.clamp_kqv")
    return rope_fields(file) | {"clip_qkv": float(clip) if clip else None}


def olmo2_fields(file: GgufFile) -> Fields:
    """Return the fields of OLMo 2."""
    return rope_fields(file) | {"attention_bias": has_tensor(file, "attn_q.bias")}


def olmo3_fields(file: GgufFile) -> Fields:
    """Return the fields of OLMo 3, which is OLMo 2 with windows."""
    pattern = require(file, "attention.sliding_window_pattern")
    kinds = ("full_attention", "sliding_attention")
    rope = rope_parameters(file, head_size(file), THETA)
    local = {"rope_type": "default", "rope_theta": rope["rope_theta"]}
    return olmo2_fields(file) | {
        "rope_parameters": {"full_attention": rope, "sliding_attention": local},
        "sliding_window": require(file, "attention.sliding_window"),
        "layer_types": [kinds[bool(is_local)] for is_local in pattern],
    }


def seed_oss_fields(file: GgufFile) -> Fields:
    """Return the fields of Seed-OSS."""
    return rope_fields(file) | {
        "attention_bias": has_tensor(file, "attn_q.bias"),
        "attention_out_bias": has_tensor(file, "attn_output.bias"),
    }


def glm4_fields(file: GgufFile) -> Fields:
    """Return the fields of GLM 4, dense."""
    return rope_fields(file) | {"attention_bias": has_tensor(file, "attn_q.bias")}


def ernie_fields(file: GgufFile) -> Fields:
    """Return the fields of ERNIE 4.5, dense."""
    return rope_fields(file) | {"use_bias": has_tensor(file, "attn_q.bias")}


def arcee_fields(file: GgufFile) -> Fields:
    """Return the fields of Arcee."""
    return rope_fields(file) | {
        "attention_bias": has_tensor(file, "attn_q.bias"),
        "mlp_bias": has_tensor(file, "ffn_up.bias"),
    }


def gemma_fields(file: GgufFile) -> Fields:
    """Return the fields of Gemma 1."""
    return rope_fields(file)


def gemma2_fields(file: GgufFile) -> Fields:
    """Return the fields of Gemma 2."""
    return rope_fields(file) | {
        "sliding_window": require(file, "attention.sliding_window"),
        "attn_logit_softcapping": float(require(file, "attn_logit_softcapping")),
        "final_logit_softcapping": float(require(file, "final_logit_softcapping")),
        "query_pre_attn_scalar": _query_scalar(file, 46),
    }


def gemma3_fields(file: GgufFile) -> Fields:
    """Return the fields of Gemma 3, text."""
    size = head_size(file)
    scaled = rope_parameters(file, size, 1_000_000.0)
    local = float(file.get("rope.freq_base_swa", 10_000.0))
    return {
        "rope_parameters": {
            "full_attention": scaled,
            "sliding_attention": {"rope_theta": local, "rope_type": "default"},
        },
        "sliding_window": require(file, "attention.sliding_window"),
        "query_pre_attn_scalar": _query_scalar(file, 62),
    }


def _query_scalar(file: GgufFile, layers_of_27b: int) -> int:
    """Return the number whose root divides scores; llama.cpp knows the largest by its layers."""
    if require(file, "block_count") == layers_of_27b:
        return int(require(file, "embedding_length") // require(file, "attention.head_count"))
    return head_size(file)


def cohere2_fields(file: GgufFile) -> Fields:
    """Return the fields of Command A and R7B."""
    rope = rope_parameters(file, head_size(file), THETA)
    return {
        "rope_parameters": rope,
        "logit_scale": float(require(file, "logit_scale")),
        "sliding_window": require(file, "attention.sliding_window"),
        "layer_types": _every(file, 4),
    }


def exaone4_fields(file: GgufFile) -> Fields:
    """Return the fields of EXAONE 4."""
    window = file.get("attention.sliding_window")
    return rope_fields(file) | {
        "sliding_window": window,
        "layer_types": _every(file, 4 if window else 1),
    }


def _every(file: GgufFile, period: int) -> list[str]:
    """Return the types of layers of which every so many attend to everything."""
    kinds = ("sliding_attention", "full_attention")
    return [kinds[(layer + 1) % period == 0] for layer in range(require(file, "block_count"))]
