"""Folders with random networks of any size, in a kind of weights."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from bench.memory.kinds import Kind

_LLAMA: dict[str, Any] = {
    **{"hidden_size": 2048, "intermediate_size": 8192, "vocab_size": 128, "head_dim": 64},
    **{"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False},
}
"""The layers of Llama 3.2 1B: 61 million weights each."""
_GPT_OSS: dict[str, Any] = {
    **{"hidden_size": 1024, "intermediate_size": 1024, "vocab_size": 128, "head_dim": 64},
    **{"num_attention_heads": 16, "num_key_value_heads": 4, "tie_word_embeddings": False},
    **{"num_local_experts": 16, "num_experts_per_tok": 4},
}
"""Layers of 53 million weights, of which 50 are those of experts."""
_STANDARD_DEVIATION = 0.02


def save_network(folder: Path, kind: Kind, num_layers: int, **changes: Any) -> None:
    """Save a network with random weights; `changes` are of the sizes in its configuration."""
    folder.mkdir(parents=True)
    name, sizes = ("gpt_oss", _GPT_OSS) if kind.is_gpt_oss else ("llama", _LLAMA)
    config = AutoConfig.for_model(name, num_hidden_layers=num_layers, **sizes | changes)
    config.dtype = kind.dtype
    with torch.device("meta"):
        loader: Any = AutoModelForCausalLM
        model = loader.from_config(config)
    config.architectures = [type(model).__name__]
    fields = config.to_dict()
    if kind.settings:
        fields["quantization_config"] = dict(kind.settings)
    (folder / "config.json").write_text(json.dumps(fields))
    tensors: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        tensors |= _parts(name, tuple(weight.shape), kind)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _parts(name: str, shape: tuple[int, ...], kind: Kind) -> dict[str, Tensor]:
    if _is_quantized(name, shape, kind):
        stem = name.removesuffix("weight")
        return {stem + suffix: part for suffix, part in kind.make(shape).items()}
    if name.endswith("bias"):
        return {name: torch.zeros(shape, dtype=kind.dtype)}
    if len(shape) == 1:  # norms, and what else belongs to outputs
        return {name: torch.ones(shape, dtype=kind.dtype)}
    # Tokens are far apart in all layers, so that all experts are chosen: those of others are not
    # read from the file.
    scale = 1 if "embed_tokens" in name else _STANDARD_DEVIATION
    return {name: torch.randn(shape).mul_(scale).to(kind.dtype)}


def _is_quantized(name: str, shape: tuple[int, ...], kind: Kind) -> bool:
    if kind.is_gpt_oss:
        return name.endswith(("gate_up_proj", "down_proj"))
    return len(shape) == 2 and ".layers." in name
