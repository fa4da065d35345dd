"""Kinds of GGUF files that are refused, as sparse files of 100 GB: headers, and no weights."""

import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bench.refusals.kind import Kind, Write
from bench.refusals.sparse_gguf import (
    Entries,
    SparseTensor,
    Tensors,
    llama_entries,
    llama_tensors,
    write_sparse_gguf,
)

_NAME = "model.gguf"
_NUM_LAYERS = 57
_MIDDLE, _LAST = _NUM_LAYERS // 2, _NUM_LAYERS - 1
_VERSION, _NUM_ENTRIES, _FIRST_LENGTH = 4, 16, 24
"""Places of numbers in the header, in bytes."""
_HEADER_BYTES = 1 << 20
"""Fewer bytes than the header of a file has."""
_UNKNOWN_TYPE, _Q8_K = 99, 15

Change = Callable[[Entries, Tensors], object]


@cache
def _whole() -> tuple[Entries, Tensors]:
    return llama_entries(_NUM_LAYERS), llama_tensors(_NUM_LAYERS)


def write_whole(folder: Path, change: Change = lambda entries, tensors: None) -> Path:
    """Write a file in which nothing is wrong but what `change` does to its header."""
    entries, tensors = (dict(part) for part in _whole())
    change(entries, tensors)
    write_sparse_gguf(folder / _NAME, entries, tensors)
    return folder / _NAME


def _entries(**entries: Any) -> Change:
    """Return a change of entries, whose dots are double underscores; None takes one away."""

    def change(found: Entries, tensors: Tensors) -> None:
        del tensors
        for key, value in entries.items():
            name = key.replace("__", ".")
            found.pop(name, None)
            if value is not None:
                found[name] = value

    return change


def _tensors(**tensors: SparseTensor | None) -> Change:
    """Return a change of tensors, by names without their last part; None takes one away."""

    def change(entries: Entries, found: Tensors) -> None:
        del entries
        for key, tensor in tensors.items():
            name = f"{key.replace('__', '.')}.weight"
            found.pop(name, None)
            if tensor is not None:
                found[name] = tensor

    return change


def _without_layer(number: int) -> Change:
    def change(entries: Entries, found: Tensors) -> None:
        del entries
        for name in [name for name in found if name.startswith(f"blk.{number}.")]:
            del found[name]

    return change


def _without_part(name: str) -> Change:
    return _tensors(**{f"blk__{number}__{name}": None for number in range(_NUM_LAYERS)})


def _kind(change: Change, problem: str) -> Kind:
    return Kind(lambda folder: write_whole(folder, change), problem, _NAME)


def _damaged(change: Callable[[Path], object], problem: str) -> Kind:
    """Return a kind whose file is changed after it was written."""
    return Kind(lambda folder: change(write_whole(folder)), problem, _NAME)


def _patched(place: int, content: bytes) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with file.open("r+b") as opened:
            opened.seek(place)
            opened.write(content)

    return change


def _halved(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _first_of_three(folder: Path) -> None:
    entries = {"split.count": 3, "split.tensors.count": 2}
    file = write_whole(folder, lambda found, _: found.update(entries))
    file.rename(folder / "model-00001-of-00003.gguf")


def _of(text: str) -> Write:
    return lambda folder: (folder / _NAME).write_text(text)


_EMBEDDED = "it lacks 1 tensor (token_embd.weight)"
_ONE_TOO_MANY = SparseTensor((8192, 8192))

GGUF_KINDS: dict[str, Kind] = {
    f"GGUF: {name}": kind
    for name, kind in {
        "a part gone": Kind(_first_of_three, "it lacks 2 parts", "model-00001-of-00003.gguf"),
        "cut off": _damaged(_halved, "model.gguf is damaged: it has "),
        "its header cut off": _damaged(
            lambda file: os.truncate(file, _HEADER_BYTES), "its header is cut off"
        ),
        "empty": Kind(_of(""), "cannot be read as GGUF", _NAME),
        "a pointer of Git LFS": Kind(_of("version https://git-lfs…"), "run git lfs pull", _NAME),
        "other first bytes": _damaged(_patched(0, b"GGML"), "it does not begin with GGUF"),
        "an old version": _damaged(_patched(_VERSION, b"\1"), "it has version 1"),
        "big-endian": _damaged(_patched(_VERSION, b"\0\0\0\3"), "its numbers are big-endian"),
        "a number of entries beyond all": _damaged(
            _patched(_NUM_ENTRIES, struct.pack("<Q", 1 << 60)), "its header is damaged: "
        ),
        "a text of a terabyte": _damaged(
            _patched(_FIRST_LENGTH, struct.pack("<Q", 1 << 40)), "a text of 1099511627776 bytes"
        ),
        "zeros for a header": _damaged(
            _patched(_FIRST_LENGTH, bytes(_HEADER_BYTES)), "its header is damaged: "
        ),
        "of another architecture": _kind(
            _entries(general__architecture="rwkv7"), "of the architecture 'rwkv7'"
        ),
        "without an architecture": _kind(
            _entries(general__architecture=None), "its metadata has no general.architecture"
        ),
        "a vision part alone": _kind(_entries(general__type="mmproj"), "it is of type 'mmproj'"),
        "a tensor of the first layer gone": _kind(
            _tensors(blk__0__attn_q=None), "it lacks 1 tensor (blk.0.attn_q.weight)"
        ),
        "a tensor of a middle layer gone": _kind(
            _tensors(**{f"blk__{_MIDDLE}__ffn_up": None}),
            f"it lacks 1 tensor (blk.{_MIDDLE}.ffn_up",
        ),
        "a tensor of the last layer gone": _kind(
            _tensors(**{f"blk__{_LAST}__attn_norm": None}), f"it lacks 1 tensor (blk.{_LAST}.attn_n"
        ),
        "a tensor of every layer gone": _kind(
            _without_part("ffn_up"), "each layer lacks 1 tensor (ffn_up.weight)"
        ),
        "the last layer gone": _kind(
            _without_layer(_LAST), f"it lacks 9 tensors (blk.{_LAST}.attn_k.weight"
        ),
        "the embeddings gone": _kind(_tensors(token_embd=None), _EMBEDDED),
        "the last norm gone": _kind(_tensors(output_norm=None), "it lacks 1 tensor (output_norm"),
        "a layer too many": _kind(
            _entries(llama__block_count=_LAST), f"no place for 9 tensors (blk.{_LAST}."
        ),
        "a tensor of an unknown name": _kind(
            _tensors(blk__3__attn_r=_ONE_TOO_MANY), "no place for 1 tensor (blk.3.attn_r.weight)"
        ),
        "a tensor turned": _kind(
            _tensors(blk__5__ffn_up=SparseTensor((8192, 28_672))),
            "blk.5.ffn_up.weight has the shape [8192, 28672], and not ",
        ),
        "another width": _kind(
            _entries(llama__embedding_length=4096),
            "token_embd.weight has the shape [128256, 8192], and not [any, 4096]",
        ),
        "other heads": _kind(
            _entries(llama__attention__head_count_kv=16), "attn_k.weight has the shape [1024, 8192]"
        ),
        "an unknown type": _kind(
            _tensors(blk__7__attn_v=SparseTensor((1024, 8192), _UNKNOWN_TYPE)),
            "blk.7.attn_v.weight is of an unknown type, 99",
        ),
        "a type that is not read": _kind(
            _tensors(blk__7__attn_v=SparseTensor((1024, 8192), _Q8_K)),
            "blk.7.attn_v.weight is of the type Q8_K, which is not read",
        ),
        "an entry gone": _kind(
            _entries(llama__context_length=None), "its metadata has no llama.context_length"
        ),
        "an entry of another type": _kind(
            _entries(llama__block_count="57"), "llama.block_count is '57', not a whole number"
        ),
        "no heads": _kind(
            _entries(llama__attention__head_count=0), "llama.attention.head_count is 0"
        ),
        "a billion layers": _kind(
            _entries(llama__block_count=10**9), "llama.block_count is 1000000000"
        ),
        "unknown positions": _kind(
            _entries(llama__rope__scaling__type="ntk", llama__rope__scaling__factor=2.0),
            "its rotary positions are scaled by ntk",
        ),
        "no tokenizer": _kind(_entries(tokenizer__ggml__model=None), "it has no tokenizer"),
        "a tokenizer of another kind": _kind(
            _entries(tokenizer__ggml__model="bert"), "its tokenizer is of the kind 'bert'"
        ),
        "no tokens": _kind(
            _entries(tokenizer__ggml__tokens=None), "no list of texts tokenizer.ggml.tokens"
        ),
        "no merges": _kind(
            _entries(tokenizer__ggml__merges=None), "no list of texts tokenizer.ggml.merges"
        ),
        "a rule of splitting that is not known": _kind(
            _entries(tokenizer__ggml__pre="new"), "splits text by the rule 'new'"
        ),
        "an end beyond the tokens": _kind(
            _entries(tokenizer__ggml__eos_token_id=200_000), "the eos token 200000, of 128256 tok"
        ),
        "types of too few tokens": _kind(
            _entries(tokenizer__ggml__token_type=(1,)), "1 tokenizer.ggml.token_type for 128256"
        ),
        "tokens without rows": _kind(
            _tensors(
                token_embd=SparseTensor((128_000, 8192)), output=SparseTensor((128_000, 8192))
            ),
            "its tokenizer has 128256 tokens, and token_embd.weight rows for 128000",
        ),
    }.items()
}
