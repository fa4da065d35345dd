"""Random networks of any architecture, small enough to be fast."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
"""Options of a configuration; the weights vary enough that rounding does not change a choice."""


def saved(config: Any, folder: Path) -> Any:
    """Save a random network to a folder; return the network."""
    torch.manual_seed(1)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("expert_bias"):
            # All zeros, as it begins, OpenVINO drops it, and chooses other experts.
            parameter.data.normal_(std=0.1)
    model.save_pretrained(folder)
    return model


def generated(model: Any, prompt: Sequence[int], num_tokens: int) -> list[int]:
    """Continue a prompt with `model.generate`, greedily and ignoring EOS; return the new tokens."""
    model.generation_config.eos_token_id = None
    ids = torch.tensor([list(prompt)])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=num_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return list(output[0, len(prompt) :].tolist())
