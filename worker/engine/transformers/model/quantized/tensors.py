"""Tensors of a quantised checkpoint, under the names of one that is not quantised.

transformers gets them as a state dict and renames, merges and checks them as ever. Each is read
from its file only when transformers takes it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.checkpoint.weight_files import weight_files_of
from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.format import (
    Format,
    Shape,
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


def open_tensors(folder: Path, form: Format, dtype: torch.dtype = torch.float32) -> Tensors:
    """Open the files of a folder, and return all of its tensors by name.

    Quantised weights become `PackedWeight`s of `dtype`. The files are closed with the last of the
    tensors. Raises `BadCheckpointError` if a weight lacks a tensor.
    """
    header, sources = _open_files(folder)
    quantized = stored_weights(header, form)
    tensors = {
        name: LazyTensor(_reader(sources[name], name))
        for name in plain_names(header, form, quantized.values())
    }
    for weight in quantized.values():
        tensors[weight.name] = LazyTensor(_weight_reader(sources, form, weight, dtype))
    return tensors


def tensor_shapes(folder: Path, form: Format) -> dict[str, Shape]:
    """Return the shapes of all tensors that `open_tensors` returns, by name."""
    header, sources = _open_files(folder)
    quantized = stored_weights(header, form)
    shapes = {name: header[name].shape for name in plain_names(header, form, quantized.values())}
    for weight in quantized.values():
        parts = {suffix: header[name].shape for suffix, name in weight.tensors.items()}
        names = {suffix: weight.tensors[suffix] for suffix in form.small}
        small = {suffix: sources[name].get_tensor(name) for suffix, name in names.items()}
        shapes[weight.name] = form.shape(parts, small)
    return shapes


def plain_names(
    header: Mapping[str, TensorHeader], form: Format, quantized: Iterable[StoredWeight]
) -> list[str]:
    """Return the names of the tensors that are read as they are stored."""
    parts = {name for weight in quantized for name in weight.tensors.values()}
    return [name for name in header if name not in parts and not name.endswith(form.ignored)]


def _open_files(folder: Path) -> tuple[dict[str, TensorHeader], dict[str, Any]]:
    """Return the header and the open file of each tensor."""
    sources: dict[str, Any] = {}
    header: dict[str, TensorHeader] = {}
    for name in weight_files_of(folder):
        header |= (found := read_header(folder / name))
        sources |= dict.fromkeys(found, safe_open(folder / name, framework="pt"))
    return header, sources


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
