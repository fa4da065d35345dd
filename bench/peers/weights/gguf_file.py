"""Conversion of weights of the Llama architecture to a GGUF file for llama.cpp.

The tokenizer is left out, because llama.cpp receives token ids.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import orjson
import torch
from safetensors import safe_open
from torch import Tensor

from bench.peers.peer import Precision

_TYPES = {
    Precision.FLOAT32: (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    Precision.BFLOAT16: (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    Precision.INT8: (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    Precision.INT4: (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
FORMATS = {precision: kind.name for precision, (kind, _) in _TYPES.items()}


def write_gguf(weights: Path, file: Path, precision: Precision) -> None:
    """Write all matrices to `file` in the format of `precision`, and all vectors in float32."""
    config = orjson.loads((weights / "config.json").read_bytes())
    kind, file_type = _TYPES[precision]
    writer = gguf.GGUFWriter(file, "llama")
    _add_fields(writer, config)
    writer.add_file_type(file_type)
    names = tensor_names(config["num_hidden_layers"])
    for name, tensor in _tensors(weights, config):
        _add_tensor(writer, names[name], tensor, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_names(num_layers: int) -> dict[str, str]:
    """Return the GGUF name of every weight of a Llama checkpoint, by its name in the checkpoint."""
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, num_layers)
    names = ["model.embed_tokens", "model.norm", "lm_head"]
    parts = (
        *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        *("input_layernorm", "post_attention_layernorm"),
    )
    names += [f"model.layers.{layer}.{part}" for layer in range(num_layers) for part in parts]
    return {f"{name}.weight": f"{known.get_name(name)}.weight" for name in names}


def interleave(weight: Tensor, num_heads: int) -> Tensor:
    """Reorder rows for the rotary embedding of llama.cpp: adjacent pairs, not two halves.

    `weight` is [num_heads * head size, …].
    """
    size = weight.shape[0] // num_heads
    halves = weight.reshape(num_heads, 2, size // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _tensors(weights: Path, config: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    heads = {
        "q_proj": config["num_attention_heads"],
        "k_proj": config["num_key_value_heads"],
    }
    for file in sorted(weights.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no dict
                tensor = opened.get_tensor(name)
                num_heads = heads.get(name.split(".")[-2])
                yield name, interleave(tensor, num_heads) if num_heads else tensor


def _add_tensor(writer: Any, name: str, tensor: Tensor, kind: gguf.GGMLQuantizationType) -> None:
    values = tensor.to(torch.float32).numpy()
    if values.ndim == 1:
        writer.add_tensor(name, values)
        return
    packed = np.asarray(gguf.quants.quantize(values, kind))
    writer.add_tensor(name, packed, raw_dtype=kind)


def _add_fields(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
