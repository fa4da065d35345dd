"""GGUF files of any size in sparse files: headers are written, and the tensors are holes."""

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

_ALIGNMENT = 32
_BFLOAT16 = 30
_FORMATS: Mapping[type, tuple[int, str]] = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}
"""Number of each type of values in the format, and how it is packed."""
_STRING, _ARRAY = 8, 9
_UNICODE = 0x4E00


class SparseTensor(NamedTuple):
    """A tensor of a file, of two bytes for each number unless its type says otherwise."""

    shape: Sequence[int]
    """Shape in the order of torch."""
    kind: int = _BFLOAT16


Entries = dict[str, Any]
Tensors = dict[str, SparseTensor]


def llama_entries(
    num_layers: int, hidden: int = 8192, wide: int = 28_672, num_tokens: int = 128_256
) -> Entries:
    """Return the metadata of a Llama network, with a tokenizer; 80 layers are 70 billion."""
    tokens = tuple(f"{chr(_UNICODE + n // 100)}{n % 100:02}" for n in range(num_tokens))
    return {
        "general.architecture": "llama",
        "llama.block_count": num_layers,
        "llama.context_length": 8192,
        "llama.embedding_length": hidden,
        "llama.feed_forward_length": wide,
        "llama.attention.head_count": 64,
        "llama.attention.head_count_kv": 8,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 500_000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": (1,) * num_tokens,
        "tokenizer.ggml.merges": tuple(f"{token[0]} {token[1:]}" for token in tokens) * 2,
        "tokenizer.ggml.eos_token_id": num_tokens - 1,
        "tokenizer.chat_template": "{{ messages }}",
    }


def llama_tensors(
    num_layers: int, hidden: int = 8192, wide: int = 28_672, num_tokens: int = 128_256
) -> Tensors:
    """Return the tensors of a Llama network of which eight query heads share a key head."""
    layer = {
        "attn_q": (hidden, hidden),
        "attn_k": (hidden // 8, hidden),
        "attn_v": (hidden // 8, hidden),
        "attn_output": (hidden, hidden),
        "ffn_gate": (wide, hidden),
        "ffn_up": (wide, hidden),
        "ffn_down": (hidden, wide),
        "attn_norm": (hidden,),
        "ffn_norm": (hidden,),
    }
    ends = {"token_embd": (num_tokens, hidden), "output_norm": (hidden,)}
    ends["output"] = (num_tokens, hidden)
    return {f"{name}.weight": SparseTensor(shape) for name, shape in ends.items()} | {
        f"blk.{number}.{name}.weight": SparseTensor(shape)
        for number in range(num_layers)
        for name, shape in layer.items()
    }


def write_sparse_gguf(file: Path, entries: Entries, tensors: Tensors) -> None:
    """Write a file of this header, whose tensors are a hole."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    header += b"".join(_pack_text(key) + _pack(value) for key, value in entries.items())
    end = 0
    for name, tensor in tensors.items():
        axes = tuple(reversed(tensor.shape))
        header += _pack_text(name) + struct.pack(f"<I{len(axes)}Q", len(axes), *axes)
        header += struct.pack("<IQ", tensor.kind, end)
        end += _aligned(2 * prod(tensor.shape))
    with file.open("wb") as opened:
        opened.write(header)
        opened.truncate(_aligned(len(header)) + end)


def _pack(value: Any) -> bytes:
    """Return a value with its type before it."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _pack_text(value)
    if isinstance(value, tuple):
        return struct.pack("<I", _ARRAY) + _pack_items(value)
    number, form = _FORMATS[type(value)]
    return struct.pack(f"<I{form}", number, value)


@cache
def _pack_items(values: tuple[Any, ...]) -> bytes:
    """Return values of one type, after it and their number; a vocabulary is packed once."""
    if isinstance(values[0], str):
        return struct.pack("<IQ", _STRING, len(values)) + b"".join(map(_pack_text, values))
    number, form = _FORMATS[type(values[0])]
    return struct.pack(f"<IQ{len(values)}{form}", number, len(values), *values)


def _pack_text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
