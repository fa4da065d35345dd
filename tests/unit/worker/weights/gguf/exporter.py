"""Writing of tiny networks as GGUF files, as the converter of llama.cpp writes them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from worker.weights.gguf.convert import Conversion

Array = NDArray[np.float32]
Change = Callable[[str, Array, Any], Array]
Metadata = Callable[[gguf.GGUFWriter, Any], object]

TEMPLATE = "{{ messages[0].content }}"
_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*_ALPHABET, "ab", "<end>"]
VOCAB_SIZE = len(TOKENS)
_EXPERT = re.compile(r"layers\.(\d+)\..*experts\.\d+\.(\w+)\.weight$")
_STACKED = re.compile(r"(.+)\[\d+\]$")
"""Names of parts that the converter stacks, with the index of each."""
_OF_EXPERTS = {"w1": "gate", "w3": "up", "w2": "down"}


def unchanged(name: str, values: Array, config: Any) -> Array:
    """Return the values: the converter renames the tensor, and no more."""
    del name, config
    return values


def paired(name: str, values: Array, config: Any) -> Array:
    """Reorder queries and keys as the converter of Llama does (`LlamaModel.permute`)."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    num_heads = heads.get(name.split(".")[-2])
    if num_heads is None:
        return values
    halves = values.reshape(num_heads, 2, len(values) // num_heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def plus_one(name: str, values: Array, config: Any) -> Array:
    """Add one to the weights of norms, as the converter of Gemma does."""
    del config
    return values + 1 if name.endswith("norm.weight") else values


Split = Callable[[str, Array], dict[str, Array]]


def not_split(name: str, values: Array) -> dict[str, Array]:
    """Return the tensor alone."""
    return {name: values}


@dataclass(frozen=True)
class Export:
    """How networks of an architecture are written."""

    architecture: str
    change: Change = unchanged
    metadata: Metadata = lambda writer, config: None
    """Writes what only this architecture has."""
    split: Split = not_split
    """Returns a tensor in parts, by the names that the converter gives them, or those in GGUF."""


def make_network(config: Any) -> Any:
    """Return a network of large random weights, also where the library would begin with ones."""
    torch.manual_seed(0)
    loader: Any = AutoModelForCausalLM
    model = loader.from_config(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name or name.endswith(("bias", "scale", "scalar")):
                tensor.add_(torch.randn_like(tensor) * 0.2)
    return model


def load_converted(file: Path) -> Any:
    """Convert a file to a folder beside it, and load that."""
    folder = file.with_suffix(".model")
    folder.mkdir()
    conversion = Conversion(file)
    conversion.write_small_files(folder, torch.float32)
    conversion.write_weights(folder, torch.float32)
    loader: Any = AutoModelForCausalLM
    return loader.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: Any) -> torch.Tensor:
    """Return the logits of a prompt of 48 tokens."""
    ids = torch.arange(48)[None] * 5 % VOCAB_SIZE
    with torch.inference_mode():
        found: torch.Tensor = model(ids).logits
    return found


def write_gguf(file: Path, model: Any, export: Export, extra: Metadata | None = None) -> None:
    """Write a network; `extra` writes more metadata or tensors, last."""
    config = model.config
    writer = gguf.GGUFWriter(file, export.architecture)
    _write_sizes(writer, config)
    _write_tokens(writer)
    export.metadata(writer, config)
    for name, values in _tensors(model, export).items():
        writer.add_tensor(name, np.ascontiguousarray(values))
    if extra is not None:
        extra(writer, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(model: Any, export: Export) -> dict[str, Array]:
    """Return all tensors by their names in GGUF; those of experts are stacked."""
    state = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == export.architecture)
    table = gguf.get_tensor_name_map(kind, model.config.num_hidden_layers)
    found: dict[str, Array] = {}
    experts: dict[str, list[Array]] = {}
    parts = {
        part: values
        for name, tensor in revert_weight_conversion(model, state).items()
        for part, values in export.split(name, tensor.float().numpy()).items()
    }
    for name, original in parts.items():
        values = export.change(name, original, model.config)
        if match := _STACKED.match(name):
            experts.setdefault(match[1], []).append(values)
            continue
        if name.startswith("blk."):
            found[name] = values
            continue
        if match := _EXPERT.search(name):
            part = _OF_EXPERTS.get(match[2], match[2].removesuffix("_proj"))
            experts.setdefault(f"blk.{match[1]}.ffn_{part}_exps.weight", []).append(values)
            continue
        stem, _, suffix = name.rpartition(".")
        if suffix in ("weight", "bias"):
            found[f"{table.get_name(stem)}.{suffix}"] = values
        else:
            found[str(table.get_name(name))] = values
    return found | {name: np.stack(values) for name, values in experts.items()}


def _write_sizes(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    heads = config.num_key_value_heads
    kinds = getattr(config, "layer_types", None) or ()
    is_conv = "conv" in kinds
    writer.add_head_count_kv(
        [0 if kind == "conv" else heads for kind in kinds] if is_conv else heads
    )
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(rope["rope_theta"])
    if (size := getattr(config, "head_dim", None)) is not None:
        writer.add_key_length(size)
        writer.add_value_length(size)
    if (epsilon := _first(config, "rms_norm_eps", "norm_eps")) is not None:
        writer.add_layer_norm_rms_eps(epsilon)
    if (count := _first(config, "num_experts", "num_local_experts")) is not None:
        writer.add_expert_count(count)
        writer.add_expert_used_count(_first(config, "num_experts_per_tok", "top_k_experts"))
    if (size := getattr(config, "moe_intermediate_size", None)) is not None:
        writer.add_expert_feed_forward_length(size)


def _write_tokens(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    types = [gguf.TokenType.NORMAL] * (VOCAB_SIZE - 1) + [gguf.TokenType.CONTROL]
    writer.add_token_types(types)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(VOCAB_SIZE - 1)
    writer.add_chat_template(TEMPLATE)


def _first(config: Any, *names: str) -> Any:
    return next((getattr(config, name) for name in names if hasattr(config, name)), None)
