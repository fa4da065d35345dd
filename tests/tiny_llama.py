"""Config of the tiny random Llama network that tests run."""

from typing import Any

from transformers import LlamaConfig


def tiny_llama(*, vocab_size: int, eos_token_id: int, **changes: Any) -> LlamaConfig:
    """Return a config whose large random weights make its choices robust to rounding."""
    fields: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": eos_token_id,
    }
    return LlamaConfig(**fields | changes)
