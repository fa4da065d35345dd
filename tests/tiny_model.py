"""A tiny random network with its tokenizer, in a folder as weights come."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_NUM_TOKENS = 257
"""The bytes and the end token."""


def save_tiny_model(folder: Path) -> Path:
    """Decisive enough that rounding does not change its choices."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_NUM_TOKENS,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=_NUM_TOKENS - 1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer(_TEMPLATE).save_pretrained(folder)
    return folder
