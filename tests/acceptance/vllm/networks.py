"""Tiny random networks that vLLM runs on CPUs, saved with a tokenizer of bytes like weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.families.family import Family
from bench.families.network import load_reference, save_network
from models.chat.template_encoder import TemplateEncoder
from models.profile.weights import Weights
from tests.unit.models.tiny_tokenizer import tiny_tokenizer
from tests.unit.worker.engine.quantized_networks import KINDS, gptq, save_quantized

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_SEED = 1
_SIZES: dict[str, Any] = {
    "vocab_size": 257,
    "eos_token_id": 256,
    "head_dim": 32,
    "initializer_range": 0.2,
}
"""256 bytes and the end token; the smallest heads that vLLM computes on CPUs."""

_GROUP = 32
"""Weights of a group: the fewest that vLLM takes of GPTQ."""
_AWQ, _AWQ_SETTINGS = KINDS["awq"]
_, _GPTQ_SETTINGS = KINDS["gptq"]
QUANTIZED = {
    "gptq": (gptq(group_size=_GROUP), _GPTQ_SETTINGS | {"group_size": _GROUP}),
    "awq": (_AWQ, _AWQ_SETTINGS | {"zero_point": True}),
    "compressed-tensors": KINDS["compressed-tensors"],
}
"""How weights are quantised in 4 bits, and the `quantization_config` that says so, by name."""


def save_family(model_type: str, changes: Mapping[str, Any], folder: Path) -> Any:
    """Save a network of a family; return it as transformers computes it."""
    family = Family(model_type, model_type, _SIZES | dict(changes))
    save_network(family, _SEED, folder)
    _save_tokenizer(folder)
    return load_reference(family, folder)


def save_quantized_llama(kind: str, folder: Path) -> Any:
    """Save a Llama whose weights are quantised; return the network of what they stand for."""
    save_family("llama", {}, folder / "full")
    quantize, settings = QUANTIZED[kind]
    network = save_quantized(folder / "full", folder, quantize, settings)
    _save_tokenizer(folder)
    return network


def prompt_of(text: str) -> list[int]:
    """Return the token ids of a request's prompt."""
    tokenizer: Any = tiny_tokenizer(TEMPLATE)
    return list(tokenizer.encode(f"{text}\n"))


def token_bytes(folder: Path) -> list[list[int]]:
    """Return the bytes of every token, as log probabilities have them."""
    encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))
    return [list(text) for text in encoder.token_texts()]


@torch.no_grad()
def log_probabilities(network: Any, token_ids: list[int]) -> torch.Tensor:
    """Return the log probabilities of all tokens after these."""
    return torch.log_softmax(network(torch.tensor([token_ids])).logits[0, -1].float(), -1)


def _save_tokenizer(folder: Path) -> None:
    tiny_tokenizer(TEMPLATE).save_pretrained(folder)
