"""Sizes of the tiny networks, and what the converter writes of several architectures alike."""

from typing import Any

import gguf

from tests.unit.worker.weights.gguf.exporter import VOCAB_SIZE, Array

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": VOCAB_SIZE - 1,
    "pad_token_id": None,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
PLAIN_HEADS = {"head_dim": 16}


def rotary(writer: gguf.GGUFWriter, config: Any) -> None:
    size = config.head_dim
    rope = config.rope_parameters
    writer.add_rope_dimension_count(int(size * rope.get("partial_rotary_factor", 1.0)))


def window(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_sliding_window(config.sliding_window)


def pattern(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])


def shared_expert(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def split_bias(name: str, values: Array) -> dict[str, Array]:
    return {name.replace("e_score_correction_bias", "e_score_correction.bias"): values}
