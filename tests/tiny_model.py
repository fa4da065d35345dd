"""Tiny random network with its tokenizer, saved like downloaded weights."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from tests.tiny_llama import tiny_llama
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_NUM_TOKENS = 257
"""Vocabulary size: 256 bytes and the end token."""


def save_tiny_model(folder: Path, template: str = _TEMPLATE, **changes: Any) -> Path:
    """Save the network, with `changes` to its config, and return the folder."""
    torch.manual_seed(0)
    config = tiny_llama(vocab_size=_NUM_TOKENS, eos_token_id=_NUM_TOKENS - 1, **changes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer(template).save_pretrained(folder)
    return folder
