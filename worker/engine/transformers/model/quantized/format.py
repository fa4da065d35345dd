"""Format of quantised weights: the tensors that make up a weight, and their reader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal, Protocol

from torch import Tensor

from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix

Shape = tuple[int, ...]
Conversion = Literal["packed", "int8", "full"]
"""What OpenVINO multiplies by: the levels as they are, 8 bits for each, or weights in full."""

SCALES_OF_ACTIVATIONS = (
    *(".activation_scale", ".input_scale", ".input_zero_point", ".output_scale"),
    *(".k_scale", ".v_scale", ".q_scale"),
)
"""Suffixes of scales of activations, and of cached keys and values."""


class TensorEntry(Protocol):
    """Entry of a safetensors header."""

    @property
    def dtype(self) -> str:
        """Type as the format names it."""

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""


Header = Mapping[str, TensorEntry]
"""Entries of the headers of all files, by name of the tensor."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to store quantised weights.

    The name of each tensor is a common stem and one of the suffixes.
    """

    name: str
    target: str
    """Suffix of the weight that the network knows."""
    levels: str
    """Suffix of the tensor that holds the levels."""
    required: tuple[str, ...]
    """Suffixes of the tensors that a weight needs besides."""
    read: Callable[[Mapping[str, Tensor]], QuantizedMatrix]
    """Makes a matrix from tensors by their suffixes. Raises `ValueError` if they do not match."""
    check: Callable[[Mapping[str, Shape]], None]
    """Raises `ValueError` unless shapes by suffix match."""
    shape: Callable[[Mapping[str, Shape], Mapping[str, Tensor]], Shape]
    """Returns the shape of a weight for the network, from shapes by suffix and small tensors."""
    small: tuple[str, ...] = ()
    """Suffixes of tensors of a few numbers that `shape` needs."""
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    """Suffixes of tensors without a use here, such as scales of activations."""
    types: frozenset[str] = field(default_factory=frozenset)
    """Types of levels in safetensors; weights of other types are not quantised. Empty for any."""
    group_size: int = 0
    """Inputs that share a scale; 0 if they are all inputs, or other blocks."""
    weights_per_item: int = 1
    """Weights in an element of the levels."""
    conversion: Conversion = "packed"
    is_transposed: bool = False
    """True if the network has the weights as [inputs, outputs]."""


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A weight of a checkpoint: its name in the network, and its tensors by suffix."""

    name: str
    tensors: Mapping[str, str]


def stored_weights(header: Header, form: Format) -> dict[str, StoredWeight]:
    """Return the quantised weights of a checkpoint by the stems of their tensors' names.

    Raises `BadCheckpointError` if one lacks a tensor, or its tensors do not match.
    """
    found = {}
    for name, entry in header.items():
        if not name.endswith(form.levels) or (form.types and entry.dtype not in form.types):
            continue
        stem = name.removesuffix(form.levels)
        suffixes = (form.levels, *form.required, *form.optional)
        tensors = {suffix: stem + suffix for suffix in suffixes if stem + suffix in header}
        lacking = [stem + suffix for suffix in form.required if suffix not in tensors]
        if lacking:
            raise BadCheckpointError(f"{name} is quantised, and {', '.join(lacking)} is missing")
        try:
            form.check({suffix: header[full].shape for suffix, full in tensors.items()})
        except ValueError as error:
            raise BadCheckpointError(f"{name} is damaged as {form.name}: {error}") from error
        found[stem] = StoredWeight(stem + form.target, tensors)
    return found


def num_weights(header: Header, form: Format, weight: StoredWeight) -> int:
    """Return the number of weights in a quantised weight."""
    return prod(header[weight.tensors[form.levels]].shape) * form.weights_per_item


def expect(shape: Shape, *expected: int, name: str) -> None:
    """Raise `ValueError` unless a tensor has the expected shape."""
    if shape != expected:
        raise ValueError(f"{name} has shape {list(shape)}, not {list(expected)}")
