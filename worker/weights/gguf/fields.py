"""Fields of config.json that follow from a GGUF file's metadata, common to several networks."""

from typing import Any

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.file import GgufFile
from worker.weights.gguf.rope import rope_parameters

Fields = dict[str, Any]

THETA = 10_000.0
"""Base of the frequencies of rotary positions where the metadata has none."""

_COMPUTES = (
    *("attention.sliding_window", "attention.scale", "attention.output_scale"),
    *("attention.temperature_scale", "attention.clamp_kqv", "attention.max_alibi_bias"),
    *("attention.indexer.top_k", "attention.shared_kv_layers", "attn_logit_softcapping"),
    *("final_logit_softcapping", "router_logit_softcapping", "logit_scale", "residual_scale"),
    *("embedding_scale", "expert_group_scale", "swiglu_clamp_exp", "swiglu_clamp_shexp"),
    *("moe_latent_size", "embedding_length_per_layer_input", "expert_group_count"),
)
"""Entries that change what a network computes, so that they must not be left unread."""


def require(file: GgufFile, key: str) -> Any:
    """Return an entry of the metadata; raise `BadCheckpointError` if there is none."""
    if (value := file.get(key)) is None:
        raise BadCheckpointError(f"its metadata has no {file.architecture}.{key}")
    return value


def check_understood(file: GgufFile) -> None:
    """Raise `BadCheckpointError` if the network computes something that nobody asked about.

    Call it once all fields have been made.
    """
    unread = [key for key in _COMPUTES if key not in file.asked and file.get(key)]
    if unread:
        raise BadCheckpointError(
            f"its metadata has {file.architecture}.{unread[0]}, which is not understood"
        )


def size_fields(file: GgufFile) -> Fields:
    """Return sizes, heads and tokens, under the names that most configurations use."""
    num_heads = require(file, "attention.head_count")
    fields = {
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "hidden_size": require(file, "embedding_length"),
        "num_hidden_layers": require(file, "block_count") - file.get("nextn_predict_layers", 0),
        "num_attention_heads": num_heads,
        "num_key_value_heads": file.get("attention.head_count_kv") or num_heads,
        "max_position_embeddings": require(file, "context_length"),
        "head_dim": head_size(file),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        **token_fields(file),
    }
    if (size := file.get("feed_forward_length")) is not None:
        fields["intermediate_size"] = size
    for key in ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"):
        if (epsilon := file.get(key)) is not None:
            fields["rms_norm_eps" if "rms" in key else "layer_norm_eps"] = float(epsilon)
    return fields


def token_fields(file: GgufFile) -> Fields:
    """Return the ids of special tokens; those that end a turn end an answer as well."""
    names = {"bos": "bos_token_id", "pad": "padding_token_id"}
    fields = {
        f"{name}_token_id": file.metadata.get(f"tokenizer.ggml.{key}")
        for name, key in names.items()
    }
    ends = [file.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    found = list(dict.fromkeys(end for end in ends if end is not None))
    return fields | {"eos_token_id": found[0] if len(found) == 1 else found or None}


def head_size(file: GgufFile) -> int:
    """Return the numbers of a head's keys; without an entry, heads share the hidden size."""
    size = file.get("attention.key_length")
    heads = require(file, "attention.head_count")
    return int(size or require(file, "embedding_length") // heads)


def rope_fields(file: GgufFile) -> Fields:
    """Return the parameters of rotary positions, all or a part of each head."""
    size = head_size(file)
    rotary = int(file.get("rope.dimension_count", size))
    parameters = rope_parameters(file, rotary, THETA)
    if rotary != size:
        parameters["partial_rotary_factor"] = rotary / size
    return {"rope_parameters": parameters}


def expert_fields(file: GgufFile, *, count: str = "num_experts") -> Fields:
    """Return the number of experts, of which how many compute a token, and their sizes."""
    fields = {
        count: require(file, "expert_count"),
        "num_experts_per_tok": require(file, "expert_used_count"),
    }
    sizes = {
        "moe_intermediate_size": "expert_feed_forward_length",
        "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    }
    return fields | {
        name: value for name, key in sizes.items() if (value := file.get(key)) is not None
    }


def has_tensor(file: GgufFile, name: str) -> bool:
    """Return True if the first layer has a tensor of this name."""
    return f"blk.0.{name}" in file.tensors


def llama_fields(file: GgufFile) -> Fields:
    """Return the fields of networks of Llama's kind, with or without experts."""
    biases = {
        "attention_bias": has_tensor(file, "attn_q.bias"),
        "mlp_bias": has_tensor(file, "ffn_up.bias"),
    }
    if file.get("expert_count"):
        return rope_fields(file) | expert_fields(file, count="num_local_experts")
    return rope_fields(file) | biases


def granite_fields(file: GgufFile) -> Fields:
    """Return the fields of Granite, whose results are scaled at several places."""
    scales = {
        "embedding_multiplier": "embedding_scale",
        "residual_multiplier": "residual_scale",
        "logits_scaling": "logit_scale",
        "attention_multiplier": "attention.scale",
    }
    found = {name: float(require(file, key)) for name, key in scales.items()}
    return llama_fields(file) | found


def qwen2_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 2 and 2.5."""
    return rope_fields(file) | {"use_sliding_window": False}


def qwen3_fields(file: GgufFile) -> Fields:
    """Return the fields of Qwen 3."""
    return qwen2_fields(file) | {"attention_bias": has_tensor(file, "attn_q.bias")}
