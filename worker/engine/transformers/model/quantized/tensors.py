"""Tensors of a quantised checkpoint, under the names of one that is not quantised.

transformers gets them as a state dict and renames, merges and checks them as ever. Each is read
from its file only when transformers takes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import (
    Format,
    StoredWeight,
    stored_weights,
)
from worker.engine.transformers.model.quantized.weight import PackedWeight

Tensors = dict[str, "LazyTensor"]


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """Tensor that is read when it is indexed, which is how transformers takes it."""

    read: Callable[[], Tensor]

    def __getitem__(self, index: Any) -> Tensor:
        """Return the tensor, or a part of it."""
        found = self.read()
        return found if index is Ellipsis else found[index]


def open_tensors(folder: Path, form: Format, dtype: torch.dtype) -> Tensors:
    """Open the files of a folder, and return all of its tensors by name.

    Quantised weights become `PackedWeight`s of `dtype`. The files are closed with the last of the
    tensors. Raises `BadCheckpointError` if a weight lacks a tensor.
    """
    sources: dict[str, Any] = {}
    header: dict[str, TensorHeader] = {}
    for file in sorted(folder.glob("*.safetensors")):
        header |= (found := read_header(file))
        sources |= dict.fromkeys(found, safe_open(file, framework="pt"))
    quantized = stored_weights(header, form)
    parts = {name for weight in quantized.values() for name in weight.tensors.values()}
    tensors = {
        name: LazyTensor(_reader(source, name))
        for name, source in sources.items()
        if name not in parts and not name.endswith(form.ignored)
    }
    for weight in quantized.values():
        tensors[weight.name] = LazyTensor(_weight_reader(sources, form, weight, dtype))
    return tensors


def _reader(source: Any, name: str) -> Callable[[], Tensor]:
    return lambda: source.get_tensor(name)


def _weight_reader(
    sources: dict[str, Any], form: Format, weight: StoredWeight, dtype: torch.dtype
) -> Callable[[], Tensor]:
    def read() -> Tensor:
        parts = {suffix: sources[name].get_tensor(name) for suffix, name in weight.tensors.items()}
        try:
            matrix = form.read(parts)
        except ValueError as error:
            raise BadCheckpointError(f"{weight.name} cannot be read: {error}") from error
        return PackedWeight(matrix, dtype, is_transposed=form.is_transposed)

    return read
