"""Checkpoints of any size in sparse files: headers are written, and the tensors are holes."""

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from worker.engine.checkpoint.headers import ITEM_BITS

Shapes = Mapping[str, Sequence[int]]

_SHARD_BYTES = 5 << 30


def llama_shapes(num_layers: int, size: int = 8192, wide: int = 28_672) -> dict[str, list[int]]:
    """Return names and shapes of the tensors of a Llama network; 80 layers are 70 billion."""
    layer = {
        "self_attn.q_proj": [size, size],
        "self_attn.k_proj": [size // 8, size],
        "self_attn.v_proj": [size // 8, size],
        "self_attn.o_proj": [size, size],
        "mlp.gate_proj": [wide, size],
        "mlp.up_proj": [wide, size],
        "mlp.down_proj": [size, wide],
        "input_layernorm": [size],
        "post_attention_layernorm": [size],
    }
    shapes = {
        f"model.layers.{index}.{name}.weight": shape
        for index in range(num_layers)
        for name, shape in layer.items()
    }
    ends = {"model.embed_tokens": [128_256, size], "lm_head": [128_256, size], "model.norm": [size]}
    return shapes | {f"{name}.weight": shape for name, shape in ends.items()}


def write_sparse(
    folder: Path, shapes: Shapes, *, dtype: str = "BF16", dtypes: Mapping[str, str] | None = None
) -> list[Path]:
    """Write shards of at most 5 GiB and their index; return the shards.

    `dtypes` are the types of tensors whose names end so; all others have `dtype`.
    """
    shards: list[dict[str, dict[str, object]]] = [{}]
    end = 0
    for name, shape in shapes.items():
        kinds = (kind for end, kind in (dtypes or {}).items() if name.endswith(end))
        kind = next(kinds, dtype)
        size = prod(shape) * ITEM_BITS[kind] // 8
        if shards[-1] and end + size > _SHARD_BYTES:
            shards.append({})
            end = 0
        shards[-1][name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    files = [
        folder / f"model-{number:05}-of-{len(shards):05}.safetensors"
        for number in range(1, len(shards) + 1)
    ]
    for file, shard in zip(files, shards, strict=True):
        write_header(file, shard)
    places = {name: file.name for file, shard in zip(files, shards, strict=True) for name in shard}
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return files


def write_header(file: Path, tensors: Mapping[str, Mapping[str, object]]) -> None:
    """Write a safetensors file of this header, whose data is a hole."""
    text = json.dumps(tensors).encode()
    ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]  # type: ignore[index]
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + max(ends, default=0))
